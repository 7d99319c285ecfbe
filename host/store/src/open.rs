//! From a URL to a store.

use std::path::Path;
use std::sync::Arc;

use crate::mongo::MongoStore;
use crate::sqlite::SqliteStore;
use crate::{Store, StoreError, StoreOptions};

/// Opens the store that a URL names, with the usual options. See [`open_with`].
pub async fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    open_with(url, &StoreOptions::default()).await
}

/// Opens the store that a URL names: `sqlite:PATH` or a plain path for a file, which is made when absent;
/// `mongodb://HOST/DATABASE` or `mongodb+srv://...` for a server (database `netsage` when none is named).
///
/// Must be called inside a Tokio runtime. An unreachable server is an error after 5 seconds.
pub async fn open_with(url: &str, options: &StoreOptions) -> Result<Arc<dyn Store>, StoreError> {
    match Target::parse(url)? {
        Target::File(path) => {
            let store = SqliteStore::open(path.to_owned(), *options).await?;
            Ok(Arc::new(store))
        }
        Target::Server(url) => {
            let store = MongoStore::open(url, *options).await?;
            Ok(Arc::new(store))
        }
    }
}

/// The file of the store that a URL names; `None` for a server, and for a URL that is none.
pub fn file_of(url: &str) -> Option<&Path> {
    match Target::parse(url).ok()? {
        Target::File(path) => Some(path),
        Target::Server(_) => None,
    }
}

/// What a URL means.
#[derive(Debug, PartialEq)]
enum Target<'a> {
    File(&'a Path),
    Server(&'a str),
}

impl<'a> Target<'a> {
    fn parse(url: &'a str) -> Result<Self, StoreError> {
        if url.starts_with("mongodb://") || url.starts_with("mongodb+srv://") {
            return Ok(Self::Server(url));
        }
        let path = match url.strip_prefix("sqlite:") {
            // `sqlite:///var/x.db` is the absolute path, as in other programs' URLs.
            Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
            None => match url.split_once("://") {
                Some((scheme, _)) => {
                    return Err(StoreError::UnknownScheme {
                        scheme: scheme.to_owned(),
                    });
                }
                None => url,
            },
        };
        if path.is_empty() {
            return Err(StoreError::BadUrl {
                reason: "it names no file".to_owned(),
            });
        }
        if path == ":memory:" {
            return Err(StoreError::BadUrl {
                reason: "a store in memory is not offered".to_owned(),
            });
        }
        Ok(Self::File(Path::new(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths() {
        let file = |path: &'static str| Target::File(Path::new(path));
        let check = |url: &str, expected: Target<'_>| assert_eq!(Target::parse(url).expect(url), expected);
        check("sqlite:a.db", file("a.db"));
        check("sqlite:///var/a.db", file("/var/a.db"));
        check("/var/a.db", file("/var/a.db"));
        check("C:\\a.db", file("C:\\a.db"));
        check("mongodb://h/d", Target::Server("mongodb://h/d"));
        for url in ["postgres://h/d", "http://h", "sqlite:", "", "sqlite::memory:"] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }
}
