use super::*;
use crate::state::{HostProcess, Stage, Status};

fn record(id: &str) -> Record {
    Record {
        id: id.into(),
        bundle: "/b".into(),
        rootfs: "/b/rootfs".into(),
        created: "1970-01-01T00:00:00Z".into(),
        owner: 0,
        stage: Stage::Creating,
        is_attached: false,
        creator: HostProcess::current(),
        sentry: None,
        gofer: None,
        cgroup: None,
        hooks: Default::default(),
        annotations: Default::default(),
        process: Default::default(),
    }
}

fn dead() -> Option<HostProcess> {
    HostProcess::current().map(|this| HostProcess { start_time: this.start_time + 1, ..this })
}

fn store() -> (tempfile::TempDir, Store) {
    let root = tempfile::tempdir().expect("tempdir");
    let store = Store::new(Some(&root.path().join("state")));
    (root, store)
}

#[test]
fn create_open_remove() {
    let (_root, store) = store();
    assert!(store.list().expect("no root yet").is_empty());
    let entry = store.create(&record("a")).expect("create");
    assert!(matches!(store.create(&record("a")), Err(StateError::AlreadyExists(_))));
    assert_eq!(store.list().expect("list").len(), 1);
    drop(entry);
    let (entry, read) = store.open("a").expect("open");
    assert_eq!(read, record("a"));
    fs::write(entry.path.join(CONTROL_SOCKET), "").expect("write");
    entry.remove().expect("remove");
    assert!(matches!(store.open("a"), Err(StateError::NoSuchContainer(_))));
    assert_eq!(fs::read_dir(&store.path).expect("root").count(), 0);
}

#[test]
fn hostile_ids_never_reach_the_file_system() {
    let (_root, store) = store();
    for id in ["", "..", "../../etc", "a/b", "/etc"] {
        assert!(matches!(store.open(id), Err(StateError::NoSuchContainer(_))), "{id}");
    }
}

#[test]
fn abandoned_entries_are_swept() {
    let (_root, store) = store();
    drop(store.create(&Record { creator: dead(), ..record("dead-creator") }).expect("create"));
    drop(store.create(&record("living-creator")).expect("create"));
    fs::create_dir(store.path.join("no-record")).expect("mkdir");
    let ids: Vec<String> = store.list().expect("list").into_iter().map(|r| r.id).collect();
    assert_eq!(ids, ["living-creator"]);
    assert_eq!(fs::read_dir(&store.path).expect("root").count(), 1);
}

#[test]
fn stopped_containers_stay() {
    let (_root, store) = store();
    let stopped = Record { stage: Stage::Started, sentry: dead(), ..record("stopped") };
    drop(store.create(&stopped).expect("create"));
    let list = store.list().expect("list");
    assert_eq!(list[0].status(), Status::Stopped);
    assert_eq!(list[0].pid(), 0);
}

#[test]
fn damaged_record_is_told() {
    let (_root, store) = store();
    let entry = store.create(&record("x")).expect("create");
    fs::write(entry.path.join(RECORD), "{").expect("write");
    drop(entry);
    assert!(matches!(store.open("x"), Err(StateError::Damaged { .. })));
    assert!(store.list().expect("list").is_empty());
}

#[test]
fn control_socket_works_below_a_long_root() {
    let root = tempfile::tempdir().expect("tempdir");
    let store = Store::new(Some(&root.path().join("d".repeat(120))));
    let entry = store.create(&record(&"f".repeat(64))).expect("create");
    let listener = std::os::unix::net::UnixListener::bind(entry.control_socket()).expect("bind");
    std::os::unix::net::UnixStream::connect(entry.control_socket()).expect("connect");
    drop(listener);
}
