//! An API server that is away when the sensor starts.

use super::*;
use kube::client::Body;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use tower::BoxError;

/// A client of an API server that refuses connections until it is `back`, and then has no objects.
fn client(back: Arc<AtomicBool>) -> kube::Client {
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let back = back.load(Ordering::Relaxed);
        let query = request.uri().query().unwrap_or_default();
        let watch = query.contains("watch=true");
        async move {
            if !back {
                return Err(BoxError::from("connection refused"));
            }
            if watch {
                return std::future::pending().await;
            }
            let list = json!({"metadata": {"resourceVersion": "1"}, "items": []});
            let body = serde_json::to_vec(&list).unwrap();
            Ok(http::Response::new(Body::from(body)))
        }
    });
    kube::Client::new(service, "default")
}

#[tokio::test(start_paused = true)]
async fn a_sensor_keeps_trying_and_is_ready_once_it_can_evaluate() {
    let (health, back) = (Health::default(), Arc::new(AtomicBool::new(false)));
    let mut state = state();
    state.kubelet_cgroup = Some(String::new());
    let writer = tokio::spawn(std::future::pending());
    let client = client(Arc::clone(&back));
    let mut following = Box::pin(follow_from(state, client, writer, health.clone()));
    let away = tokio::time::timeout(2 * LONGEST, &mut following);
    away.await.unwrap_err();
    assert_eq!((health.is_ready(), health.stalled()), (false, None));
    back.store(true, Ordering::Relaxed);
    // Longer than two pauses of a watch.
    let there = tokio::time::timeout(Duration::from_secs(20), &mut following);
    there.await.unwrap_err();
    assert!(health.is_ready());
    // It stays so: what is known is enough to evaluate.
    back.store(false, Ordering::Relaxed);
    let again = tokio::time::timeout(2 * LONGEST, &mut following);
    again.await.unwrap_err();
    assert_eq!((health.is_ready(), health.stalled()), (true, None));
}
