//! The files of `examples/deploy`: they fit the configuration beside them, and what they promise is what the host does.

use std::{fs, process::Command, time::Duration};

use serde_json::{Value as Json, json};
use support::{host::binary, yaml};
use tempfile::TempDir;
use wharf::{
    cli::longest_stop,
    config::{self, Config},
};

use crate::tree;

const FOLDER: &str = "examples/deploy";
/// What a stop may be given beyond what it needs at the longest.
const SPARE: Duration = Duration::from_secs(5);

/// The configuration, as it is read where it is installed: with these variables, and the secrets and migrations that are there.
fn configuration(variables: &[(&str, &str)]) -> (TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    let migrations = tree::root().join("examples/clinic/migrations");
    let text = tree::read(&format!("{FOLDER}/wharf.toml")).replace("/srv/wharf/migrations", migrations.to_str().unwrap());
    for (name, holds) in [
        ("wharf.toml", text.as_str()),
        ("database-url", "postgres://clinic:hunter2@db.example/clinic\n"),
        ("admin-token", "a-token-of-the-test\n"),
    ] {
        fs::write(folder.path().join(name), holds).unwrap();
    }
    let environment = |name: &str| match name {
        "CREDENTIALS_DIRECTORY" => Some(folder.path().to_str().unwrap().to_owned()),
        _ => variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()),
    };
    let config = config::load(folder.path(), &environment).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
    (folder, config)
}

/// The values of a key of the unit, from top to bottom.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

fn seconds(unit: &str, key: &str) -> Duration {
    let [value] = values(unit, key)[..] else { panic!("{key} is not there once") };
    Duration::from_secs(value.parse().unwrap())
}

fn assert_fits(given: Duration, needed: Duration) {
    assert!((needed..=needed + SPARE).contains(&given), "{given:?} are given, and a stop takes up to {needed:?}");
}

/// The unit in a folder of its own, with the host where it is.
fn installed() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wharf.service");
    let unit = tree::read(&format!("{FOLDER}/wharf.service"));
    fs::write(&path, unit.replace("/usr/local/bin/wharf", binary().to_str().unwrap())).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

fn analyze(arguments: &[&str]) -> String {
    let output = Command::new("systemd-analyze").args(arguments).output().expect("systemd-analyze, which tests/run installs");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

#[test]
fn systemd_understands_the_unit_and_finds_it_tight() {
    let (_folder, path) = installed();
    let said = analyze(&["verify", "--man=no", &path]);
    assert!(!said.contains("wharf.service"), "{said}");
    // From 0 to 10, in tenths: whoever loosens it says so here.
    analyze(&["security", "--offline=true", "--no-pager", "--threshold=15", &path]);
}

#[test]
fn the_unit_gives_a_stop_as_long_as_it_may_take() {
    let (_folder, config) = configuration(&[]);
    let unit = tree::read(&format!("{FOLDER}/wharf.service"));
    assert_fits(seconds(&unit, "TimeoutStopSec"), longest_stop(&config));
    assert!(seconds(&unit, "WatchdogSec") > Duration::from_secs(10), "what is held up is told after ten");
    assert_eq!(values(&unit, "Type"), ["notify"]);
    for secret in ["database-url", "admin-token"] {
        let loaded = format!("{secret}:/etc/wharf/secrets/{secret}");
        assert!(values(&unit, "LoadCredential").contains(&loaded.as_str()), "{secret}");
    }
    // What the host writes lies where the unit lets it.
    for (folder, key) in [("/var/cache/wharf", "CacheDirectory"), ("/run/wharf", "RuntimeDirectory")] {
        assert_eq!(values(&unit, key), ["wharf"]);
        let written = [Some(&config.engine.cache), config.admin.socket.as_ref()];
        assert!(written.into_iter().flatten().any(|path| path.starts_with(folder)), "{folder}");
    }
    assert!(config.server.admin.is_some_and(|address| address.ip().is_loopback()));
}

fn manifests() -> Vec<Json> {
    yaml::documents(&tree::read(&format!("{FOLDER}/kubernetes.yaml")))
}

fn manifest(kind: &str) -> Json {
    let found = manifests().into_iter().find(|manifest| manifest["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind}"))
}

fn container(pod: &Json) -> &Json {
    let containers = pod["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    &containers[0]
}

/// `512Mi` in bytes.
fn mebibytes(quantity: &Json) -> u64 {
    let number = quantity.as_str().and_then(|text| text.strip_suffix("Mi")).and_then(|number| number.parse::<u64>().ok());
    number.unwrap_or_else(|| panic!("{quantity}")) << 20
}

#[test]
fn the_pod_gives_a_stop_as_long_as_it_may_take_and_calls_the_memory_they_may_use() {
    let deployment = manifest("Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let container = container(pod);
    let variables = container["env"].as_array().unwrap().iter();
    let variables: Vec<_> = variables.map(|one| (one["name"].as_str().unwrap(), one["value"].as_str().unwrap())).collect();
    let (_folder, config) = configuration(&variables);

    let before = Duration::from_secs(container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap());
    let grace = Duration::from_secs(pod["terminationGracePeriodSeconds"].as_u64().unwrap());
    assert_fits(grace, before + longest_stop(&config));

    let largest = config.plugins.iter().map(|plugin| plugin.limits.memory as u64).max().unwrap();
    let calls = u64::from(config.server.max_concurrency) * largest;
    let limits = &container["resources"]["limits"];
    assert_eq!(mebibytes(&limits["memory"]), calls + (512 << 20), "{limits}");

    // Probes reach it from outside of the pod, and without a token.
    let ports = json!([
        { "name": "http", "containerPort": config.server.listen.port() },
        { "name": "admin", "containerPort": config.server.admin.unwrap().port() }
    ]);
    assert_eq!(container["ports"], ports);
    assert!(config.server.listen.ip().is_unspecified() && config.server.admin.unwrap().ip().is_unspecified());
    for (probe, path) in [("livenessProbe", "/health/live"), ("readinessProbe", "/health/ready")] {
        assert_eq!(container[probe]["httpGet"], json!({ "path": path, "port": "admin" }));
        assert!(container[probe]["timeoutSeconds"].as_u64() >= Some(3), "a busy host answers later than in a second");
    }
}

#[test]
fn the_pod_may_do_nothing_and_writes_only_where_it_says() {
    let deployment = manifest("Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let container = container(pod);
    let security = json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] }
    });
    assert_eq!(container["securityContext"], security);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], json!(true));
    assert_eq!(pod["automountServiceAccountToken"], json!(false));

    let (_folder, config) = configuration(&[]);
    let volumes = pod["volumes"].as_array().unwrap();
    let mounts = container["volumeMounts"].as_array().unwrap();
    assert_eq!(volumes.len(), mounts.len());
    let is_writable = |path: &std::path::Path| {
        let below = |mount: &&Json| path.starts_with(mount["mountPath"].as_str().unwrap());
        let mount = mounts.iter().find(below)?;
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"])?;
        volume["emptyDir"].is_object().then_some(())
    };
    assert!(is_writable(&config.engine.cache).is_some());
    assert!(is_writable(config.admin.socket.as_deref().unwrap()).is_some());
    let secrets = container["env"].as_array().unwrap().iter().find(|one| one["name"] == "CREDENTIALS_DIRECTORY").unwrap();
    assert!(mounts.iter().any(|mount| mount["name"] == "secrets" && mount["mountPath"] == secrets["value"]));
}

#[test]
fn manifests_mean_the_same_pods_and_the_configuration_beside_them() {
    let labels = manifest("Deployment")["spec"]["template"]["metadata"]["labels"].clone();
    assert_eq!(manifest("Deployment")["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(manifest("Service")["spec"]["selector"], labels);
    assert_eq!(manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(manifest("NetworkPolicy")["spec"]["podSelector"]["matchLabels"], labels);
    let kustomization = yaml::documents(&tree::read(&format!("{FOLDER}/kustomization.yaml"))).remove(0);
    assert_eq!(kustomization["resources"], json!(["kubernetes.yaml"]));
    assert_eq!(kustomization["configMapGenerator"], json!([{ "name": "wharf", "files": ["wharf.toml"] }]));
}

#[test]
fn the_image_is_built_of_what_is_there_and_runs_as_nobody_in_particular() {
    let text = tree::read(&format!("{FOLDER}/Containerfile"));
    let stages: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("FROM ")?.split_once(" AS ")).map(|(_, name)| name).collect();
    assert_eq!(stages, ["build", "host", "clinic"]);
    let user = manifest("Deployment")["spec"]["template"]["spec"]["securityContext"]["runAsUser"].clone();
    assert!(text.contains(":nonroot AS host") && text.contains(&format!("user {user}")), "{user}");
    let copied = text.lines().filter_map(|line| line.strip_prefix("COPY examples/")?.split_once(' '));
    for (from, _) in copied {
        assert!(tree::root().join("examples").join(from).exists(), "{from}");
    }
    let version = tree::read("Cargo.toml")
        .lines()
        .find_map(|line| Some(line.strip_prefix("rust-version = \"")?.trim_end_matches('"').to_owned()));
    assert!(text.contains(&format!("rust:{}-", version.unwrap())));
}
