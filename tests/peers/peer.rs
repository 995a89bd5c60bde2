//! A server of someone else's, as a process of its own on a free port.

use serde_json::Value;
use sluice_e2e::{eventually, new_folder};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

/// How long a server may take to answer its first connection, on a loaded machine.
const START: Duration = Duration::from_secs(60);

pub struct Peer {
    child: Child,
    port: u16,
    /// Its working folder; what is still there when the tests end is ended too.
    pub folder: PathBuf,
}

/// A program or file below target/peers.
pub fn installed(path: &str) -> PathBuf {
    let peers = std::env::var_os("SLUICE_PEERS").expect("SLUICE_PEERS: run this by scripts/test-peers.sh");
    let full = Path::new(&peers).join(path);
    assert!(full.exists(), "{} is not there", full.display());
    full
}

impl Peer {
    /// Starts a program in a folder of its own, which `prepare` fills; it gets the port that it is to listen at, and gives
    /// the program's arguments.
    pub fn start(program: &Path, prepare: impl FnOnce(&Path, u16) -> Vec<String>) -> Peer {
        let folder = new_folder();
        let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = any.local_addr().expect("an address").port();
        drop(any);
        let arguments = prepare(&folder, port);
        let log = std::fs::File::create(folder.join("log")).expect("the folder can be written");
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&folder).process_group(0);
        command.stdout(log.try_clone().expect("a file")).stderr(log);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let peer = Peer { child, port, folder };
        let answers = eventually(START, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        let log = std::fs::read_to_string(peer.folder.join("log")).unwrap_or_default();
        assert!(answers, "{} does not answer:\n{log}", program.display());
        peer
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sends a request as another client of the server does, and returns the answer's body.
    pub fn send(&self, method: &str, path: &str, credentials: &str, body: &Value) -> Value {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url()))
            .header("content-type", "application/json")
            .header("authorization", credentials)
            .body(if body.is_null() {
                String::new()
            } else {
                body.to_string()
            })
            .expect("a request");
        let mut answer = agent
            .run(request)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let text = answer.body_mut().read_to_string().expect("text");
        assert!(
            answer.status().is_success(),
            "{method} {path}: {} {text}",
            answer.status()
        );
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Its children too: it leads a group of its own.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}
