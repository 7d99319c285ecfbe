//! Packages in their form for the browser: an ES module and the core modules that it loads.
//!
//! The form of a bundled detector is made when the program is built. The form of another detector is made at the first
//! call, by a program with the feature `transpiler` only.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use netsage_package::{Digest, Package};

use crate::assets;

/// A file of the form: its name without a folder, and its content.
pub(crate) type File = (Cow<'static, str>, Cow<'static, [u8]>);

/// All files of a form.
pub(crate) type Files = Arc<[File]>;

/// Why a package has no form for the browser.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrowserError {
    /// The component cannot be turned into JavaScript.
    #[cfg(feature = "transpiler")]
    #[error(transparent)]
    Transpile(#[from] netsage_browser_glue::BrowserError),
    /// This program was built without the transpiler.
    #[cfg(not(feature = "transpiler"))]
    #[error(
        "this program has the browser form of its bundled detectors only; run a netsage that was built with the feature `workbench` to open this package in a browser"
    )]
    NotBundled,
}

/// The forms of the bundled detectors by the digest of their code.
static BUNDLED: LazyLock<Vec<(Digest, Files)>> = LazyLock::new(|| {
    let form = |detector: &str| -> Files {
        let files = assets::glue().iter().filter_map(|(path, content)| {
            let (folder, name) = path.split_once('/')?;
            (folder == detector).then_some((Cow::Borrowed(name), Cow::Borrowed(*content)))
        });
        files.collect()
    };
    let forms = assets::components()
        .iter()
        .map(|(name, component)| (Digest::of(component), form(name)));
    forms.filter(|(_, files)| !files.is_empty()).collect()
});

/// Forms of packages.
#[derive(Default)]
pub(crate) struct BrowserModules {
    #[cfg(feature = "transpiler")]
    made: made::Made,
}

impl BrowserModules {
    /// The form of a package. It may take a moment at the first call.
    ///
    /// # Errors
    /// When the package has none.
    pub(crate) fn of(&self, package: &Package) -> Result<Files, BrowserError> {
        let code = package.code_digest();
        if let Some((_, files)) = BUNDLED.iter().find(|(bundled, _)| *bundled == code) {
            return Ok(Arc::clone(files));
        }
        #[cfg(feature = "transpiler")]
        return self.made.of(package);
        #[cfg(not(feature = "transpiler"))]
        Err(BrowserError::NotBundled)
    }
}

#[cfg(feature = "transpiler")]
mod made {
    use std::collections::VecDeque;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use netsage_browser_glue::transpile;

    use super::*;

    /// Forms that are kept; the one made first goes first.
    const MOST_FORMS: usize = 8;

    /// Forms that were made, each once, by the code of their package.
    #[derive(Default)]
    pub(super) struct Made(Mutex<VecDeque<(Digest, Files)>>);

    impl Made {
        pub(super) fn of(&self, package: &Package) -> Result<Files, BrowserError> {
            let code = package.code_digest();
            let found = |forms: &VecDeque<(Digest, Files)>| {
                let form = forms.iter().find(|(kept, _)| *kept == code);
                form.map(|(_, files)| Arc::clone(files))
            };
            if let Some(files) = found(&self.forms()) {
                return Ok(files);
            }
            let files = transpile(package)?.files.into_iter();
            let made: Files = files
                .map(|file| (Cow::Owned(file.name), Cow::Owned(file.bytes)))
                .collect();
            let mut forms = self.forms();
            if let Some(files) = found(&forms) {
                return Ok(files);
            }
            forms.push_back((code, Arc::clone(&made)));
            if forms.len() > MOST_FORMS {
                forms.pop_front();
            }
            Ok(made)
        }

        /// Nothing that can panic runs under this lock.
        fn forms(&self) -> MutexGuard<'_, VecDeque<(Digest, Files)>> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}
