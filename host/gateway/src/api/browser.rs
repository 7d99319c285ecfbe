//! Packages in their form for the browser.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use netsage_browser_glue::{BrowserError, BrowserModule, transpile};
use netsage_package::{Digest, Package};

/// Forms that are kept; the one made first goes first.
const MOST_MODULES: usize = 8;

/// Forms that were made, each once.
#[derive(Default)]
pub(crate) struct BrowserModules(Mutex<VecDeque<(Digest, Arc<BrowserModule>)>>);

impl BrowserModules {
    /// That of a package; made once, which takes a moment.
    ///
    /// # Errors
    /// When the component has no such form.
    pub(crate) fn of(&self, package: &Package) -> Result<Arc<BrowserModule>, BrowserError> {
        let digest = package.digest();
        let found = |modules: &VecDeque<(Digest, Arc<BrowserModule>)>| {
            let module = modules.iter().find(|(kept, _)| *kept == digest);
            module.map(|(_, module)| Arc::clone(module))
        };
        if let Some(module) = found(&self.modules()) {
            return Ok(module);
        }
        let made = Arc::new(transpile(package)?);
        let mut modules = self.modules();
        if let Some(module) = found(&modules) {
            return Ok(module);
        }
        modules.push_back((digest, Arc::clone(&made)));
        if modules.len() > MOST_MODULES {
            modules.pop_front();
        }
        Ok(made)
    }

    /// Nothing that can panic runs under this lock.
    fn modules(&self) -> std::sync::MutexGuard<'_, VecDeque<(Digest, Arc<BrowserModule>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
