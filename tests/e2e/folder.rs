//! The folder of one test process: the template data directory and the clusters, below a short path (a socket's path
//! has 107 bytes at most), and gone when the process is gone, however it ended.

use crate::installation::{run, server_program};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

struct Root {
    path: PathBuf,
    /// Waits for the end of this process by the closing of its standard input, and then cleans up.
    _keeper: Child,
}

/// After the test process has ended in whatever way: ends what still works below $1, and removes it.
const KEEPER: &str = r#"
cat >/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do
  for process in /proc/[0-9]*; do
    case "$(readlink "$process/cwd")" in "$1"/*) kill -QUIT "${process#/proc/}" ;; esac
  done
  [ -n "$KEEP" ] || rm -rf "$1" && break
  sleep 0.3
done
"#;

fn root() -> &'static Root {
    static ROOT: OnceLock<Root> = OnceLock::new();
    ROOT.get_or_init(|| {
        let path = PathBuf::from(format!("/tmp/sluice-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "keeper"]).arg(&path).stdin(Stdio::piped());
        let keeper = keeper
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh is part of every system");
        Root { path, _keeper: keeper }
    })
}

/// A new folder for a cluster, owned by the server's user.
pub fn new_folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let path = root().path.join(format!("c{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    std::fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    give_to_server_user(&path);
    path
}

/// Makes the server's user the owner.
pub fn give_to_server_user(path: &Path) {
    let owner = crate::installation::as_server_user("id")
        .arg("-un")
        .output()
        .expect("id is part of every system");
    let owner = String::from_utf8_lossy(&owner.stdout).trim().to_string();
    run(Command::new("chown").arg("-R").arg(owner).arg(path));
}

/// Makes a data directory with a system identifier of its own.
pub fn fresh_directory(data: &Path) {
    let mut initdb = server_program("initdb");
    initdb.args([
        "-U",
        "postgres",
        "-A",
        "trust",
        "-N",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "-D",
    ]);
    run(initdb.arg(data));
}

/// Puts a fresh data directory at `data`: a copy of the template, which is made once.
pub fn copy_template(data: &Path) {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    let template = TEMPLATE.get_or_init(|| {
        let template = new_folder().join("template");
        fresh_directory(&template);
        template
    });
    run(Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .arg(template)
        .arg(data));
}

/// Whether `KEEP` asks for data directories to be kept.
pub fn keep() -> bool {
    std::env::var_os("KEEP").is_some_and(|value| !value.is_empty())
}
