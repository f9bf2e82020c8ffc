//! Registries that are really asked, and which configuration applies.

use super::{DIGEST, run_with};
use crate::admission::{Outcome, RegistrySource};
use bailiff_testing::{ApiServer, Call};
use serde_json::{Value as Json, json};

/// A registry that has one tag of one repository. Returns its address.
async fn serve() -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let (method, rest) = head.split_once(' ').unwrap();
            let has = rest.starts_with("/v2/team/web/manifests/1.0 ");
            let body = "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\"}]}";
            let mut answer = if has {
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.oci.image.index.v1+json\r\ndocker-content-digest: {DIGEST}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n"
                )
            } else {
                format!(
                    "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                )
            };
            if method == "GET" && !has {
                answer.push_str(body);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    address
}

/// A file that is deleted at the end.
struct TemporaryFile(std::path::PathBuf);

impl TemporaryFile {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("bailiff-check-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    /// What the flag `--registries` with this file leads to.
    async fn source(&self) -> Result<RegistrySource, String> {
        let args = crate::RegistryArgs {
            registries: Some(self.0.clone()),
            offline: false,
        };
        let source = RegistrySource::of(&args, None).await;
        let path = self.0.display().to_string();
        let source = source.map(|(source, _)| source);
        source.map_err(|error| error.to_string().replace(&path, "FILE"))
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

#[tokio::test]
async fn the_registries_of_the_flag_are_asked() {
    let registry = serve().await;
    let text = format!("registries: {{\"{registry}\": {{plainHTTP: true}}}}");
    let file = TemporaryFile::new("registries.yaml", &text);
    let source = file.source().await.unwrap();
    let policy = "{apiVersion: bailiff.dev/v1alpha1, kind: ImageAdmissionPolicy, metadata: {name: pins}, spec: {digest: {pin: true}}}";
    let manifests = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: a}}, spec: {{containers: [{{name: a, image: \"{registry}/team/web:1.0\"}}, {{name: b, image: \"{registry}/team/web:2.0\"}}, {{name: c, image: nginx}}]}}}}"
    );
    let run = run_with(&manifests, Some(policy), None, &source, &["-o", "json"]).await;
    assert_eq!(run.outcome, Ok(Outcome::Denied));
    let json: Json = serde_json::from_str(&run.out).unwrap();
    let images = &json["objects"][0]["images"];
    assert_eq!(images[0]["verdict"], "Allowed");
    assert_eq!(
        images[0]["pinnedTo"],
        format!("{registry}/team/web@{DIGEST}")
    );
    assert_eq!(images[1]["verdict"], "Denied");
    assert_eq!(
        images[1]["findings"][0]["message"],
        format!(
            "Container b uses {registry}/team/web:2.0, which registry {registry} does not have. ImageAdmissionPolicy pins requires images that exist in their repository. Check repository, tag and digest, or push the image."
        )
    );
    // Nothing names its registry, so that it is not asked.
    assert_eq!(images[2]["verdict"], "NotChecked");
    assert_eq!(
        images[2]["findings"][0]["message"],
        "Container c: docker.io/library/nginx:latest could not be checked, because Bailiff is not configured to ask registry docker.io. ImageAdmissionPolicy pins requires images that were checked. An administrator can add docker.io to the value registries of Bailiff."
    );
}

#[tokio::test]
async fn a_file_of_registries_must_be_valid() {
    let file = TemporaryFile::new("faulty.yaml", "registry: {}");
    assert_eq!(
        file.source().await.err().as_deref(),
        Some(
            "cannot use FILE: registries.yaml: unknown field `registry`, expected `registries` or `denyCIDRs`"
        )
    );
    let path = file.0.clone();
    drop(file);
    let file = TemporaryFile(path);
    assert_eq!(
        file.source().await.err().as_deref(),
        Some(
            "cannot read FILE: No such file or directory (os error 2); set --registries to a file of UTF-8"
        )
    );
}

#[tokio::test]
async fn the_registries_of_the_cluster_are_those_of_its_webhook() {
    let path = "/api/v1/namespaces/bailiff-system/configmaps/bailiff-registries";
    let only =
        "; only registries that a policy names are asked. Set --registries to configure others";
    for (call, want) in [
        (
            Call::get(path).gives(json!({"metadata": {}, "data": {"registries.yaml": "{}"}})),
            Ok(None),
        ),
        (
            Call::get(path).is_missing(),
            Ok(Some(format!(
                "ConfigMap bailiff-system/bailiff-registries not found{only}"
            ))),
        ),
        (
            Call::get(path).gives(json!({"metadata": {}})),
            Ok(Some(format!(
                "ConfigMap bailiff-system/bailiff-registries has no key registries.yaml{only}"
            ))),
        ),
        (
            Call::get(path).fails(403, "Forbidden", "forbidden"),
            Ok(Some(format!(
                "cannot read ConfigMap bailiff-system/bailiff-registries: forbidden{only}"
            ))),
        ),
        (
            Call::get(path)
                .gives(json!({"metadata": {}, "data": {"registries.yaml": "registry: {}"}})),
            Err("cannot use ConfigMap bailiff-system/bailiff-registries: registries.yaml: unknown field `registry`, expected `registries` or `denyCIDRs`".to_owned()),
        ),
    ] {
        let (server, client) = ApiServer::playing([vec![call]]);
        let args = crate::RegistryArgs::default();
        let source = RegistrySource::of(&args, Some((&client, "bailiff-system"))).await;
        server.finish();
        let note = source
            .map(|(_, note)| note)
            .map_err(|error| error.to_string());
        assert_eq!(note, want);
    }
}
