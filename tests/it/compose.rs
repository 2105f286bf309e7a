//! `docker-compose.yml`, brought up without containers: its services as processes, by
//! the commands, files and environments that stand there.

use super::scene::{shared, terminate};
use super::services::{Server, environment};
use super::world::*;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The services of the file, and where they run.
struct Composed {
    services: Value,
    moto: Server,
    world: World,
    python: PathBuf,
}

fn project(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

impl Composed {
    fn read() -> Composed {
        let python = environment();
        let read = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
        let output = Command::new(&python)
            .args(["-c", read])
            .arg(project("docker-compose.yml"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        let composed: Value = serde_json::from_slice(&output.stdout).unwrap();
        let moto = Server::moto();
        let world = World::new();
        // What is mounted into the workers, with this machine's names.
        let config = std::fs::read_to_string(project("deploy/compose/bricktrail.toml")).unwrap();
        let config = config
            .replace("http://aws:5000", &moto.url)
            .replace("0.0.0.0:9464", "127.0.0.1:0")
            .replace("commit_interval = \"10s\"", "commit_interval = \"1s\"");
        world.put("etc/bricktrail.toml", config.as_bytes());
        std::fs::create_dir(world.path("tmp")).unwrap();
        Composed {
            services: composed["services"].clone(),
            moto,
            world,
            python,
        }
    }

    /// The process of a service, with more arguments of its own.
    fn command(&self, service: &str, arguments: &[&str]) -> Command {
        let service = &self.services[service];
        let texts = |name: &str| texts(&service[name]).into_iter().map(str::to_owned);
        let mut words: Vec<String> = texts("entrypoint").collect();
        if words.is_empty() {
            assert_eq!(service["image"], "bricktrail");
            words.push(env!("CARGO_BIN_EXE_bricktrail").to_owned());
        }
        match arguments {
            [] => words.extend(texts("command")),
            own => words.extend(own.iter().map(ToString::to_string)),
        }
        let here = |word: &str| {
            let etc = self.world.path("etc").display().to_string() + "/";
            let tmp = self.world.path("tmp").display().to_string() + "/";
            match word {
                "/wiring.sh" => project("deploy/compose/wiring.sh").display().to_string(),
                "/bin/sh" => "/bin/sh".to_owned(),
                word if word.starts_with("/etc/") => word.replacen("/etc/", &etc, 1),
                word if word.starts_with("/tmp/") => word.replacen("/tmp/", &tmp, 1),
                word => word.to_owned(),
            }
        };
        let mut command = Command::new(here(&words[0]));
        command
            .args(words[1..].iter().map(|word| here(word)))
            .current_dir(self.world.path(""))
            .env_clear()
            .stdin(Stdio::null());
        let path = std::env::var("PATH").unwrap();
        let tools = self.python.parent().unwrap().display().to_string();
        command.env("PATH", format!("{tools}:{path}"));
        command.env("HOME", self.world.path(""));
        for (name, value) in service["environment"].as_object().unwrap() {
            let value = value.as_str().unwrap();
            command.env(name, value.replace("http://aws:5000", &self.moto.url));
        }
        command
    }

    #[track_caller]
    fn done(&self, service: &str) -> Output {
        let output = self.command(service, &[]).output().unwrap();
        assert!(output.status.success(), "{service}: {}", errors(&output));
        output
    }

    fn worker(&self, service: &str) -> Child {
        let mut command = self.command(service, &[]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// What `ask` says.
    fn ask(&self, arguments: &[&str]) -> Output {
        self.command("ask", arguments).output().unwrap()
    }

    #[track_caller]
    fn number(&self, sql: &str) -> u64 {
        let output = self.ask(&["query", "--format", "csv", "--sql", sql]);
        assert!(output.status.success(), "{}", errors(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().nth(1).unwrap().parse().unwrap()
    }
}

#[test]
fn what_compose_brings_up_takes_the_logs_of_a_company_into_the_lake() {
    let composed = Composed::read();
    let config = ["doctor", "--config", "/etc/bricktrail.toml"];
    let output = composed.command("worker-1", &config).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("FAIL"), "{told}");

    composed.done("wiring");
    let workers: Vec<_> = ["worker-1", "worker-2"]
        .map(|name| shared(composed.worker(name)))
        .into();
    composed.done("simulate");
    let trail = composed.world.path("tmp/northwind/trail");
    let objects = files_below(&trail).len() as u64;
    let digests = files_below(&trail)
        .iter()
        .filter(|path| path.to_string_lossy().contains("CloudTrail-Digest"))
        .count() as u64;
    let started = Instant::now();
    while composed.number("SELECT count(*) FROM log_objects") < objects {
        assert!(
            started.elapsed() < Duration::from_secs(400),
            "it takes too long"
        );
        for worker in &workers {
            assert!(worker.lock().unwrap().try_wait().unwrap().is_none());
        }
        // Each question costs the stand-in for S3 more than some objects.
        std::thread::sleep(Duration::from_secs(3));
    }
    for worker in &workers {
        assert_eq!(terminate(worker).code(), Some(0));
    }
    // As a scan of the same files finds it.
    let scan = ["scan", trail.to_str().unwrap()];
    let scanned = composed.world.run(&scan);
    assert_eq!(scanned.status.code(), Some(0), "{}", errors(&scanned));
    let (rows, ids) = (
        "SELECT count(*) FROM s3_access",
        "SELECT count(DISTINCT event_id || aws_account_id) FROM s3_access",
    );
    let expected = composed.world.number(rows) as u64;
    assert!(expected > 500, "{expected} rows");
    assert_eq!(composed.number(rows), expected);
    assert_eq!(composed.number(ids), expected);
    let signed = "SELECT count(signature) FROM digest_objects";
    assert_eq!(composed.number(signed), digests);

    let output = composed.command("worker-1", &config).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("S3 tells the queue"), "{told}");
    // What the file's head says can be asked.
    let asked = composed.ask(&["query", "--name", "out-of-policy"]);
    assert!(asked.status.success(), "{}", errors(&asked));
}
