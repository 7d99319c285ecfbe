//! Adam (Kingma and Ba 2015).

use serde::{Deserialize, Serialize};

/// Running means of the gradient and of its square.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Adam {
    steps: u32,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Adam {
    const FIRST: f32 = 0.9;
    const SECOND: f32 = 0.999;

    pub(super) fn new(weights: usize) -> Self {
        Self {
            steps: 0,
            first: vec![0.0; weights],
            second: vec![0.0; weights],
        }
    }

    /// Whether it belongs to so many weights.
    pub(super) fn fits(&self, weights: usize) -> bool {
        self.first.len() == weights && self.second.len() == weights
    }

    /// Moves the weights against the gradient.
    pub(super) fn step(&mut self, weights: &mut [f32], gradient: &[f32], rate: f32) {
        self.steps = self.steps.saturating_add(1);
        let power = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let corrected = rate * (1.0 - Self::SECOND.powi(power)).sqrt() / (1.0 - Self::FIRST.powi(power));
        let means = self.first.iter_mut().zip(&mut self.second);
        for ((weight, gradient), (first, second)) in weights.iter_mut().zip(gradient).zip(means) {
            *first += (1.0 - Self::FIRST) * (gradient - *first);
            *second += (1.0 - Self::SECOND) * (gradient * gradient - *second);
            *weight -= corrected * *first / (second.sqrt() + 1e-8);
        }
    }
}
