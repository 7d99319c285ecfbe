//! Every method with its options, as one type: a command trains it, and a model card keeps it, so that the same model
//! can be trained again.

use netsage_schema::{Identity, Rows};
use serde::{Deserialize, Serialize};

use crate::preparation::{Common, TrainError, Trained};
use crate::watch::Watch;
use crate::{autoencoder, context_knn, dbscan, half_space_trees, iforest, lstm_autoencoder, rhythm};

/// What to train on: flows taken for ordinary.
#[derive(Debug, Clone, Copy)]
pub struct Flows<'a> {
    /// Their features.
    pub rows: &'a Rows,
    /// Who talked to whom and when, row by row; empty where that is unknown, as in UNSW-NB15's partitions. Without it,
    /// methods that look at the flows of one source treat each row as a source of its own.
    pub identities: &'a [Identity],
}

/// A method with its options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Training {
    /// Dense autoencoder.
    Autoencoder(autoencoder::TrainOptions),
    /// Isolation forest.
    Iforest(iforest::TrainOptions),
    /// Half-space trees.
    HalfSpaceTrees(half_space_trees::TrainOptions),
    /// LSTM autoencoder.
    LstmAutoencoder(lstm_autoencoder::TrainOptions),
    /// Rhythm of visits.
    Rhythm(rhythm::TrainOptions),
    /// DBSCAN.
    Dbscan(dbscan::TrainOptions),
    /// Nearest neighbours per group of columns.
    ContextKnn(context_knn::TrainOptions),
}

impl Training {
    /// Name of the method, as `netsage train` takes it.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Autoencoder(_) => "autoencoder",
            Self::Iforest(_) => "iforest",
            Self::HalfSpaceTrees(_) => "half-space-trees",
            Self::LstmAutoencoder(_) => "lstm-autoencoder",
            Self::Rhythm(_) => "rhythm",
            Self::Dbscan(_) => "dbscan",
            Self::ContextKnn(_) => "context-knn",
        }
    }

    /// The method of that name with its defaults.
    pub fn by_method(name: &str) -> Option<Self> {
        serde_json::from_value(serde_json::json!({ "method": name })).ok()
    }

    /// Whether scores spread over ordinary flows, so that a threshold can be a quantile of theirs. The scores of `rhythm` do
    /// not: a score of `rhythm` is the logarithm of a probability, and nearly all ordinary flows have the same one.
    pub fn judges_single_flows(&self) -> bool {
        !matches!(self, Self::Rhythm(_))
    }

    /// What all methods have.
    pub fn common_mut(&mut self) -> &mut Common {
        match self {
            Self::Autoencoder(options) => &mut options.common,
            Self::Iforest(options) => &mut options.common,
            Self::HalfSpaceTrees(options) => &mut options.common,
            Self::LstmAutoencoder(options) => &mut options.common,
            Self::Rhythm(options) => &mut options.common,
            Self::Dbscan(options) => &mut options.common,
            Self::ContextKnn(options) => &mut options.common,
        }
    }

    /// Trains. The card says which component reads the model and how to train it again.
    ///
    /// # Errors
    /// [`TrainError`].
    pub fn run(&self, flows: Flows<'_>, watch: &mut dyn Watch) -> Result<Trained, TrainError> {
        let mut trained = match self {
            Self::Autoencoder(options) => autoencoder::train(flows.rows, options, watch),
            Self::Iforest(options) => iforest::train(flows.rows, options, watch),
            Self::HalfSpaceTrees(options) => half_space_trees::train(flows.rows, options),
            Self::LstmAutoencoder(options) => lstm_autoencoder::train(flows, options, watch),
            Self::Rhythm(options) => rhythm::train(flows, options),
            Self::Dbscan(options) => dbscan::train(flows.rows, options, watch),
            Self::ContextKnn(options) => context_knn::train(flows.rows, options, watch),
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
    fn what_a_card_keeps_is_the_training() {
        for training in [
            Training::Iforest(iforest::TrainOptions {
                trees: 7,
                ..Default::default()
            }),
            Training::Autoencoder(autoencoder::TrainOptions::default()),
            Training::HalfSpaceTrees(half_space_trees::TrainOptions::default()),
            Training::LstmAutoencoder(lstm_autoencoder::TrainOptions::default()),
            Training::Rhythm(rhythm::TrainOptions::default()),
            Training::Dbscan(dbscan::TrainOptions::default()),
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
