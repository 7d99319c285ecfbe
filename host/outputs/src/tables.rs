//! The tables of outputs that are set while a program runs, as they outlast its end.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::event_log::write_whole;

/// Tables by the names of their outputs, in a file of TOML.
#[derive(Debug)]
pub struct Tables {
    path: PathBuf,
    tables: BTreeMap<String, toml::Table>,
}

impl Tables {
    /// Reads them; a file that is not there has none.
    ///
    /// # Errors
    /// When the file cannot be read; of the kind [`io::ErrorKind::InvalidData`] when it is not what [`Self::set`] writes.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            text => text?,
        };
        // The parser shows the line, in which a secret can stand.
        let tables = toml::from_slice(&text).map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "it is no TOML; remove it, and set its outputs anew",
            )
        })?;
        Ok(Self { path, tables })
    }

    /// The tables.
    pub fn all(&self) -> &BTreeMap<String, toml::Table> {
        &self.tables
    }

    /// Keeps the table of an output, in place of the one there is, or with `None` no table.
    ///
    /// # Errors
    /// When the file cannot be written; the tables are as before then.
    pub fn set(&mut self, name: &str, table: Option<toml::Table>) -> io::Result<()> {
        let mut tables = self.tables.clone();
        match table {
            Some(table) => tables.insert(name.to_owned(), table),
            None => tables.remove(name),
        };
        let text = toml::to_string(&tables).map_err(io::Error::other)?;
        write_whole(&self.path, text.as_bytes())?;
        self.tables = tables;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_outlast_a_program() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.toml");
        let table = |text: &str| -> toml::Table { text.parse().unwrap() };
        let mut tables = Tables::open(path.clone()).unwrap();
        assert!(tables.all().is_empty());
        let soc =
            table("type = \"webhook\"\nurl = \"https://hooks.example/a\"\nbatch = 3\ndetectors = [\"a\"]");
        tables.set("soc", Some(soc.clone())).unwrap();
        tables.set("other", Some(table("type = \"file\""))).unwrap();
        tables.set("other", None).unwrap();
        let mut tables = Tables::open(path.clone()).unwrap();
        assert_eq!(*tables.all(), BTreeMap::from([("soc".to_owned(), soc)]));
        fs::remove_dir_all(folder.path()).unwrap();
        tables.set("soc", None).unwrap_err();
        assert_eq!(tables.all().len(), 1, "what is not written has not happened");
    }

    #[test]
    fn what_is_damaged_is_told_without_what_it_holds() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "soc = \"https://hooks.example/tulip\nx").unwrap();
        let error = Tables::open(file.path().to_owned()).unwrap_err().to_string();
        assert!(error.contains("no TOML") && !error.contains("tulip"), "{error}");
    }
}
