//! The edge to the API server: client, leases, Events, health and metrics
