//! From an image to its registry.

use super::*;
use bailiff_kube::list_watch::ObjectEvent;
use bailiff_oci::ShortNames;
use bailiff_oci::registry::{Limits, Registries};

#[tokio::test]
async fn what_is_not_asked_for_has_its_cause() {
    let registries = "
registries:
  private.test: {credentials: [{secret: pull}]}
";
    let registries = Registries::parse(registries).unwrap();
    let client = RegistryClient::new(registries, Limits::default()).unwrap();
    let lookups = RegistryLookups::new(client, Callers::Verified, Duration::ZERO);
    let images = ["unlisted.test/app:1", "private.test/app:1"];
    let wanted = images.map(|image| Wanted {
        reference: Reference::parse(image, ShortNames::DockerHub).unwrap(),
        named_by_policy: false,
    });
    let deadline = Instant::now() + Duration::from_mins(1);
    let labels = BTreeMap::new();
    let asked = lookups.lookup(wanted.to_vec(), "shop", &labels, deadline);
    let not_allowed = Lookup::Failed(Failure::RegistryNotAllowed);
    // The watch of Secrets does not run yet.
    let not_read = Lookup::Failed(Failure::CredentialNotRead);
    let expected = [not_allowed.clone(), not_read];
    let expected = images.map(str::to_owned).into_iter().zip(expected);
    assert_eq!(asked.await, expected.collect());

    // The Secret does not exist, and the registry, which does not either, is not asked.
    let credentials = &lookups.credentials;
    credentials.apply(lookups.client.registries(), "pull", &ObjectEvent::Listing);
    credentials.apply(lookups.client.registries(), "pull", &ObjectEvent::Complete);
    let asked = lookups.lookup(wanted.to_vec(), "shop", &labels, deadline);
    let expected = [not_allowed, Lookup::Failed(Failure::CredentialUnusable)];
    let expected = images.map(str::to_owned).into_iter().zip(expected);
    assert_eq!(asked.await, expected.collect());
}
