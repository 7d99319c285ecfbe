//! Every method with its options, as one type: a command trains it, and a model card keeps it, so that the same model
//! can be trained again.

use netsage_schema::{Identity, Rows, Schema};
use serde::{Deserialize, Serialize};

use crate::callbacks::Callbacks;
use crate::preparation::{Common, TrainError, Trained};
#[cfg(feature = "workbench")]
use crate::{autoencoder, context_knn, dbscan, lstm_autoencoder};
use crate::{half_space_trees, iforest, rhythm};

/// What to train on: flows taken for ordinary.
#[derive(Debug, Clone, Copy)]
pub struct Flows<'a> {
    /// Their features.
    pub rows: &'a Rows,
    /// Who talked to whom and when, row by row; empty where that is unknown, as in UNSW-NB15's partitions. Without
    /// identities, methods that look at the flows of one source treat each row as a source of its own.
    pub identities: &'a [Identity],
}

/// A method with its options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Training {
    /// Dense autoencoder.
    #[cfg(feature = "workbench")]
    Autoencoder(autoencoder::TrainOptions),
    /// Isolation forest.
    Iforest(iforest::TrainOptions),
    /// Half-space trees.
    HalfSpaceTrees(half_space_trees::TrainOptions),
    /// LSTM autoencoder.
    #[cfg(feature = "workbench")]
    LstmAutoencoder(lstm_autoencoder::TrainOptions),
    /// Rhythm of visits.
    Rhythm(rhythm::TrainOptions),
    /// DBSCAN.
    #[cfg(feature = "workbench")]
    Dbscan(dbscan::TrainOptions),
    /// Nearest neighbours per group of columns.
    #[cfg(feature = "workbench")]
    ContextKnn(context_knn::TrainOptions),
}

impl Training {
    /// Name of the method, as `netsage train` takes it.
    pub fn method(&self) -> &'static str {
        match self {
            #[cfg(feature = "workbench")]
            Self::Autoencoder(_) => "autoencoder",
            Self::Iforest(_) => "iforest",
            Self::HalfSpaceTrees(_) => "half-space-trees",
            #[cfg(feature = "workbench")]
            Self::LstmAutoencoder(_) => "lstm-autoencoder",
            Self::Rhythm(_) => "rhythm",
            #[cfg(feature = "workbench")]
            Self::Dbscan(_) => "dbscan",
            #[cfg(feature = "workbench")]
            Self::ContextKnn(_) => "context-knn",
        }
    }

    /// The names of all methods.
    pub const METHODS: &[&str] = &[
        "iforest",
        "half-space-trees",
        "rhythm",
        #[cfg(feature = "workbench")]
        "autoencoder",
        #[cfg(feature = "workbench")]
        "lstm-autoencoder",
        #[cfg(feature = "workbench")]
        "dbscan",
        #[cfg(feature = "workbench")]
        "context-knn",
    ];

    /// The method of that name with its defaults.
    pub fn by_method(name: &str) -> Option<Self> {
        serde_json::from_value(serde_json::json!({ "method": name })).ok()
    }

    /// Checks against the schema of the rows to come what can be checked without any, so that nobody learns for days in vain.
    ///
    /// # Errors
    /// When an option is out of its range, or the schema lacks a column that the method reads.
    pub fn check(&self, schema: &Schema) -> Result<(), TrainError> {
        if let Self::Rhythm(_) = self {
            rhythm::check(schema)?;
        }
        self.clone().common_mut().check_options(schema)
    }

    /// Whether scores spread over ordinary flows, so that a threshold can be a quantile of theirs. The scores of
    /// `rhythm` do not: they are logarithms of probabilities, nearly all equal among ordinary flows.
    pub fn judges_single_flows(&self) -> bool {
        !matches!(self, Self::Rhythm(_))
    }

    /// Options of every method.
    pub fn common_mut(&mut self) -> &mut Common {
        match self {
            #[cfg(feature = "workbench")]
            Self::Autoencoder(options) => &mut options.common,
            Self::Iforest(options) => &mut options.common,
            Self::HalfSpaceTrees(options) => &mut options.common,
            #[cfg(feature = "workbench")]
            Self::LstmAutoencoder(options) => &mut options.common,
            Self::Rhythm(options) => &mut options.common,
            #[cfg(feature = "workbench")]
            Self::Dbscan(options) => &mut options.common,
            #[cfg(feature = "workbench")]
            Self::ContextKnn(options) => &mut options.common,
        }
    }

    /// Trains. The card says which component reads the model and how to train it again.
    ///
    /// # Errors
    /// [`TrainError`].
    pub fn run(&self, flows: Flows<'_>, callbacks: &mut dyn Callbacks) -> Result<Trained, TrainError> {
        let mut trained = match self {
            #[cfg(feature = "workbench")]
            Self::Autoencoder(options) => autoencoder::train(flows.rows, options, callbacks),
            Self::Iforest(options) => iforest::train(flows.rows, options, callbacks),
            Self::HalfSpaceTrees(options) => half_space_trees::train(flows.rows, options),
            #[cfg(feature = "workbench")]
            Self::LstmAutoencoder(options) => lstm_autoencoder::train(flows, options, callbacks),
            Self::Rhythm(options) => rhythm::train(flows, options),
            #[cfg(feature = "workbench")]
            Self::Dbscan(options) => dbscan::train(flows.rows, options, callbacks),
            #[cfg(feature = "workbench")]
            Self::ContextKnn(options) => context_knn::train(flows.rows, options, callbacks),
        }?;
        trained.describe(flows.rows, flows.identities);
        trained.card.detector = Some(trained.detector.to_owned());
        trained.card.training = serde_json::to_value(self).ok();
        Ok(trained)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_without_a_column_is_refused_before_there_are_rows() {
        use netsage_schema::{FLOW_V1, RECORD_V1, UNSW_NB15};

        for method in Training::METHODS {
            let mut training = Training::by_method(method).unwrap();
            let lacks = *method == "rhythm";
            for schema in [&FLOW_V1, &RECORD_V1] {
                assert!(training.check(schema).is_ok(), "{method} {schema}");
            }
            assert_eq!(training.check(&UNSW_NB15).is_err(), lacks, "{method}");
            training.common_mut().exclude = vec!["colour".to_owned()];
            let error = training.check(&FLOW_V1).unwrap_err().to_string();
            assert!(error.contains("colour"), "{error}");
        }
    }

    #[test]
    fn what_a_card_keeps_is_the_training() {
        for training in [
            Training::Iforest(iforest::TrainOptions {
                trees: 7,
                ..Default::default()
            }),
            #[cfg(feature = "workbench")]
            Training::Autoencoder(autoencoder::TrainOptions::default()),
            Training::HalfSpaceTrees(half_space_trees::TrainOptions::default()),
            #[cfg(feature = "workbench")]
            Training::LstmAutoencoder(lstm_autoencoder::TrainOptions::default()),
            Training::Rhythm(rhythm::TrainOptions::default()),
            #[cfg(feature = "workbench")]
            Training::Dbscan(dbscan::TrainOptions::default()),
            #[cfg(feature = "workbench")]
            Training::ContextKnn(context_knn::TrainOptions::compact()),
        ] {
            let json = serde_json::to_value(&training).unwrap();
            assert_eq!(json["method"], training.method());
            let by_name = Training::by_method(training.method()).map(|found| found.method());
            assert_eq!(by_name, Some(training.method()));
            assert_eq!(serde_json::from_value::<Training>(json).unwrap(), training);
        }
    }
}
