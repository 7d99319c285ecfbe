//! Prometheus, Alertmanager and Grafana's dashboards, on programs that run.

mod files;
mod picture;
mod tools;
mod watched;
