//! `reload_on_change`: what is a change of the code, and what is not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use httpy_tests::app::{App, get};
use httpy_tests::executor::processes;
use httpy_tests::log;

const SOURCE: &str = "
import os

FOLDER = os.path.dirname(os.path.abspath(__file__))

def handle(method, path, params, query, headers, body):
    for name in os.listdir(FOLDER):
        if os.path.isfile(os.path.join(FOLDER, name)):
            open(os.path.join(FOLDER, name), 'rb').read()
    with open(os.path.join(FOLDER, 'app.log'), 'a') as log:
        log.write(path)
    return 200, str(os.getpid()), None
";

/// The lines about reloads of this app.
fn reloads(app: &App) -> Vec<String> {
    let folder = app.folder.path().display().to_string();
    let lines = log::lines("").into_iter().map(|line| line.message);
    lines
        .filter(|line| line.starts_with("reloading: ") && line.contains(&folder))
        .collect()
}

async fn pid(app: &App) -> String {
    let answer = app.ask(get("/pid")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text()
}

/// The process that answers once the code was reloaded for the last change.
async fn reloaded(app: &App, before: &str, file: &str) -> String {
    log::wait_for("", file).await;
    loop {
        let now = pid(app).await;
        if now != before {
            return now;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn only_a_change_of_the_code_reloads_it_and_each_one_once() {
    let app = App::with(SOURCE, |builder| {
        builder.executor(processes(1).reload_on_change(true))
    });
    let (folder, module) = (app.folder.path(), format!("{}.py", app.module));
    let first = pid(&app).await;

    // Each of these would be a line before the first one of a change: the looks see all that has happened before them.
    for name in ["page.html", "data.sqlite3", ".app.py.swp", "app.py~"] {
        fs::write(folder.join(name), "written").expect("cannot be written");
    }
    fs::set_permissions(folder.join(&module), Permissions::from_mode(0o600)).expect("no mode");
    assert_eq!(pid(&app).await, first);
    fs::create_dir(folder.join("new")).expect("no folder");
    for name in ["__init__.py", "a.py", "b.py"] {
        fs::write(folder.join("new").join(name), "").expect("cannot be written");
    }
    let second = reloaded(&app, &first, "new/__init__.py").await;

    let written = folder.join("written");
    fs::write(&written, format!("{SOURCE}# changed\n")).expect("cannot be written");
    fs::rename(&written, folder.join(&module)).expect("cannot be renamed");
    let third = reloaded(&app, &second, &format!("{module} has changed")).await;

    fs::remove_file(folder.join("new/b.py")).expect("cannot be removed");
    reloaded(&app, &third, "new/b.py has changed").await;

    let reloads = reloads(&app);
    // A slow machine may see the three files of one folder one by one.
    let (first, others) = (&reloads[..reloads.len() - 2], &reloads[reloads.len() - 2..]);
    assert!(
        !first.is_empty() && first.iter().all(|line| line.contains("/new/")),
        "{reloads:?}"
    );
    assert!(
        others[0].contains(&module) && others[1].contains("/new/b.py"),
        "{reloads:?}"
    );
}
