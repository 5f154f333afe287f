use super::*;
use crate::message::{
    LinkRequest, NewDirectoryRequest, NodesRequest, RenameRequest, SetAttrRequest, TargetRequest,
};
use crate::wire::Reader;

fn header(op: Op) -> Writer {
    let mut request = Writer::default();
    request.fixed(&RequestHeader { op: op as u32, is_quiet: 1, ..RequestHeader::default() });
    request
}

fn named(op: Op, file: u64, dir: u64, name: &str) -> Vec<u8> {
    let mut request = header(op);
    request.fixed(&LinkRequest { node: file, dir });
    if op == Op::Link {
        request.short_bytes(b"").unwrap();
    }
    request.short_bytes(name.as_bytes()).unwrap();
    request.as_bytes().to_vec()
}

fn unlink(dir: u64, name: &str) -> Vec<u8> {
    let mut request = header(Op::Unlink);
    request.fixed(&TargetRequest { node: dir });
    request.short_bytes(name.as_bytes()).unwrap();
    request.as_bytes().to_vec()
}

fn mkdir(node: u64, dir: u64, name: &str) -> Vec<u8> {
    let mut request = header(Op::MakeDirectoryAs);
    request.fixed(&NewDirectoryRequest { node, dir, ..NewDirectoryRequest::default() });
    request.short_bytes(name.as_bytes()).unwrap();
    request.as_bytes().to_vec()
}

fn rename(from: (u64, &str), to: (u64, &str)) -> Vec<u8> {
    let mut request = header(Op::Rename);
    let (old_dir, new_dir) = (from.0, to.0);
    request.fixed(&RenameRequest { old_dir, new_dir, flags: 0, reserved: 0 });
    request.short_bytes(from.1.as_bytes()).unwrap();
    request.short_bytes(to.1.as_bytes()).unwrap();
    request.as_bytes().to_vec()
}

fn set(node: u64) -> Vec<u8> {
    let mut request = header(Op::SetAttr);
    request.fixed(&SetAttrRequest { node, ..SetAttrRequest::default() });
    request.short_bytes(b"").unwrap();
    request.as_bytes().to_vec()
}

fn release(node: u64) -> Vec<u8> {
    let mut request = header(Op::Release);
    request.fixed(&NodesRequest { count: 1, reserved: 0 });
    request.fixed(&node);
    request.as_bytes().to_vec()
}

fn bytes(requests: Vec<Bytes>) -> Vec<Vec<u8>> {
    requests.into_iter().map(Bytes::into_vec).collect()
}

fn pending(requests: &[Vec<u8>]) -> Pending {
    let mut pending = Pending::default();
    let mut told = 0;
    for request in requests {
        told += u64::from(!matches!(Change::of(request), Change::Releases));
        pending.push(request, told);
    }
    pending
}

/// Takes all requests out, as one message or several.
fn drain(pending: &mut Pending) -> Vec<Vec<u8>> {
    let mut requests = Vec::new();
    let mut message = Writer::default();
    while !pending.is_empty() {
        pending.take_message(&mut message, u64::MAX, None);
        let mut rest = Reader::new(message.as_bytes());
        if rest.fixed::<RequestHeader>().is_err() {
            continue;
        }
        while let Ok(len) = rest.fixed::<u32>() {
            requests.push(rest.bytes(len as usize).unwrap().to_vec());
        }
    }
    assert!(pending.entries.is_empty() && pending.nodes.is_empty());
    assert_eq!((pending.spending, pending.strange), (0, 0));
    requests
}

/// What comes of taking `name` of directory 1 back, and what is left.
fn take_back(requests: &[Vec<u8>], name: &str) -> (Unlinked, Vec<Vec<u8>>) {
    let mut pending = pending(requests);
    let unlinked = pending.take_back(NodeId::ROOT, name.as_bytes());
    (unlinked, drain(&mut pending))
}

#[test]
fn name_is_taken_back_if_the_directory_changes_all_the_same() {
    let other = unlink(1, "b");
    let requests = [other.clone(), named(Op::Name, 7, 1, "a")];
    assert_eq!(take_back(&requests, "a"), (Unlinked::BeforeNamed, vec![other]));
    for requests in [
        // Nothing else changes this directory.
        vec![unlink(2, "b"), named(Op::Name, 7, 1, "a")],
        // The name is another file's, or was sent before.
        vec![unlink(1, "b"), named(Op::Name, 7, 1, "c")],
        vec![unlink(1, "b"), named(Op::Name, 7, 1, "a"), unlink(1, "a")],
        // The file is changed by its node.
        vec![unlink(1, "b"), named(Op::Name, 7, 1, "a"), set(7)],
        // The directory's times are set.
        vec![unlink(1, "b"), set(1), named(Op::Name, 7, 1, "a")],
        vec![],
    ] {
        assert_eq!(take_back(&requests, "a"), (Unlinked::Quietly, requests));
    }
}

#[test]
fn passing_name_makes_way_for_the_one_that_stays() {
    let last = named(Op::Name, 7, 2, "final");
    let requests = [
        set(9),
        named(Op::Name, 7, 1, "a"),
        named(Op::Link, 7, 2, "final"),
        named(Op::Name, 8, 1, "b"),
    ];
    let left = vec![set(9), last, named(Op::Name, 8, 1, "b")];
    assert_eq!(take_back(&requests, "a"), (Unlinked::BeforeLinked, left));
    // A further name of a file that has its first.
    let requests = [named(Op::Link, 7, 1, "a"), unlink(1, "b")];
    assert_eq!(take_back(&requests, "a"), (Unlinked::BeforeLinked, vec![unlink(1, "b")]));
}

#[test]
fn entry_is_what_its_last_request_says() {
    // Removed, made again, and removed again: the first removal stays.
    let mut pending =
        pending(&[unlink(1, "a"), named(Op::Name, 7, 1, "a"), named(Op::Name, 8, 1, "b")]);
    assert_eq!(pending.take_back(NodeId::ROOT, b"a"), Unlinked::BeforeNamed);
    assert!(pending.concerns(Scope::New(NodeId::ROOT, b"a")), "its removal still waits");
    assert_eq!(pending.take_back(NodeId::ROOT, b"a"), Unlinked::Quietly);
    assert_eq!(drain(&mut pending), [unlink(1, "a"), named(Op::Name, 8, 1, "b")]);
    assert!(!pending.concerns(Scope::New(NodeId::ROOT, b"a")));
}

#[test]
fn requests_wait_for_those_that_they_have_to_do_with() {
    let node = |raw: u64| NodeId::from_raw(raw).unwrap();
    let mut pending = pending(&[named(Op::Name, 7, 2, "a"), set(3), release(5)]);
    for (scope, concerned) in [
        (Scope::All, true),
        (Scope::Nothing, false),
        (Scope::Space, false),
        (Scope::Node(node(2)), true),
        (Scope::Node(node(7)), true),
        (Scope::Node(node(3)), true),
        (Scope::Node(node(4)), false),
        (Scope::New(node(2), b"a"), true),
        (Scope::New(node(2), b"b"), false),
        // Its times were set.
        (Scope::New(node(3), b"b"), true),
    ] {
        assert_eq!(pending.concerns(scope), concerned, "{scope:?}");
    }
    assert!(pending.needs(node(2)) && pending.needs(node(3)));
    assert!(!pending.needs(node(7)), "nobody can meet it but by the directory");
    pending.push(&named(Op::Link, 7, 2, "b"), 3);
    assert!(pending.needs(node(7)), "it may be met by its first name");
    pending.push(&unlink(6, "c"), 4);
    assert!(pending.concerns(Scope::Space), "it frees some");
    pending.push(b"anything", 5);
    assert!(pending.concerns(Scope::Node(node(4))) && pending.concerns(Scope::New(node(2), b"b")));
    assert_eq!(pending.take_back(node(2), b"a"), Unlinked::Quietly);
    assert_eq!(drain(&mut pending).len(), 6);
}

#[test]
fn new_directory_is_made_first_if_it_has_nothing_to_do_with_others() {
    let node = |raw: u64| NodeId::from_raw(raw).unwrap();
    let others = [named(Op::Name, 7, 1, "a"), unlink(1, "b")];
    let made = mkdir(9, 1, "d");
    let mut queue = pending(&[others[0].clone(), others[1].clone(), made.clone()]);
    for (scope, concerned) in [
        (Scope::Exists(node(9)), true),
        (Scope::Exists(node(1)), false),
        (Scope::Node(node(9)), true),
        (Scope::New(node(9), b"x"), true),
        (Scope::New(node(1), b"d"), true),
        (Scope::New(node(1), b"e"), false),
        (Scope::Space, true),
    ] {
        assert_eq!(queue.concerns(scope), concerned, "{scope:?}");
    }
    assert!(queue.needs(node(9)));
    assert!(!queue.goes_ahead(1, b"d") && queue.goes_ahead(1, b"e"));
    for scope in [Scope::Node(node(7)), Scope::New(node(1), b"d"), Scope::Space, Scope::All] {
        assert!(queue.take_ahead(scope).is_empty(), "{scope:?}");
    }
    assert_eq!(bytes(queue.take_ahead(Scope::Node(node(9)))), std::slice::from_ref(&made));
    assert!(queue.take_ahead(Scope::Node(node(9))).is_empty());
    assert!(!queue.concerns(Scope::Exists(node(9))));
    assert_eq!(drain(&mut queue), others);
    for requests in [
        // Something with this name goes first.
        vec![unlink(1, "d"), made.clone()],
        // So does something with the name of the directory around it.
        vec![unlink(2, "dir"), mkdir(1, 2, "dir"), made.clone()],
        // Its times were set.
        vec![set(1), made.clone()],
        // It was used since.
        vec![made.clone(), set(9)],
        vec![made.clone(), named(Op::Name, 7, 9, "a")],
        vec![made.clone(), mkdir(10, 9, "sub")],
        vec![made.clone(), b"anything".to_vec()],
    ] {
        let mut queue = pending(&requests);
        assert!(queue.take_ahead(Scope::Node(node(9))).is_empty());
        assert_eq!(drain(&mut queue), requests);
    }
}

#[test]
fn directories_are_made_before_what_has_to_be_in_them() {
    let node = |raw: u64| NodeId::from_raw(raw).unwrap();
    let made = [mkdir(8, 1, "outer"), mkdir(9, 8, "inner"), mkdir(10, 1, "other")];
    let name = named(Op::Name, 7, 9, "a");
    let [outer, inner, other] = made.clone();
    let all = [outer, inner, name.clone(), other];
    for scope in [Scope::New(node(9), b"b"), Scope::Exists(node(9))] {
        let mut queue = pending(&all);
        assert_eq!(bytes(queue.take_ahead(scope)), made[..2]);
        assert!(!queue.concerns(scope));
        assert_eq!(drain(&mut queue), all[2..]);
    }
    let mut queue = pending(&all);
    assert_eq!(bytes(queue.take_ahead(Scope::Space)), made);
    assert!(!queue.concerns(Scope::Space));
    assert_eq!(drain(&mut queue), [name]);
}

#[test]
fn renaming_concerns_both_names() {
    let node = |raw: u64| NodeId::from_raw(raw).unwrap();
    let requests =
        [named(Op::Name, 7, 1, "a"), unlink(1, "c"), rename((1, "a"), (2, "b")), unlink(2, "c")];
    let mut queue = pending(&requests);
    for (scope, concerned) in [
        (Scope::New(node(1), b"a"), true),
        (Scope::New(node(2), b"b"), true),
        (Scope::New(node(2), b"a"), false),
        (Scope::Node(node(2)), true),
        (Scope::Space, true),
    ] {
        assert_eq!(queue.concerns(scope), concerned, "{scope:?}");
    }
    assert!(queue.needs(node(1)) && queue.needs(node(2)));
    // Neither name is the one that was given first.
    assert_eq!(queue.take_back(node(1), b"a"), Unlinked::Quietly);
    assert_eq!(queue.take_back(node(2), b"b"), Unlinked::Quietly);
    // The next file with the old name is another.
    queue.push(&named(Op::Name, 8, 1, "a"), 5);
    assert_eq!(queue.take_back(node(1), b"a"), Unlinked::BeforeNamed);
    assert!(queue.concerns(Scope::New(node(1), b"a")), "the renaming still waits");
    assert_eq!(drain(&mut queue), requests);
}

#[test]
fn what_has_left_is_counted() {
    let requests: Vec<Vec<u8>> = (0..100).map(|i| unlink(1, &format!("f{i}"))).collect();
    let mut pending = pending(&requests);
    pending.push(&release(9), 100);
    assert_eq!(pending.sent(100), 0);
    let mut message = Writer::default();
    pending.take_message(&mut message, 10, None);
    assert_eq!((pending.sent(100), pending.len()), (10, 91));
    // One message has no room for all.
    assert!(!pending.take_message(&mut message, u64::MAX, Some(b"last")));
    assert_eq!(pending.sent(100), 10 + u64::from(MESSAGE_REQUESTS));
    assert!(pending.take_message(&mut message, u64::MAX, Some(b"last")));
    assert_eq!(pending.sent(100), 100);
    assert!(
        !pending.take_message(&mut message, u64::MAX, Some(b"last")),
        "nothing to go along with"
    );
}
