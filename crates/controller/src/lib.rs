//! Answers Incidents through the Kubernetes API and keeps statuses true
