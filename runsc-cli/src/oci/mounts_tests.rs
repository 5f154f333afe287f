use super::*;

fn converted(json: &str) -> Result<(Vec<MountConfig>, Vec<Export>, Notices), ConfigError> {
    let mounts: Vec<Mount> = serde_json::from_str(json).expect(json);
    let (mut exports, mut notices) = (Vec::new(), Notices::default());
    let configs = convert(&mounts, Path::new("/bundle"), &mut exports, &mut notices)?;
    Ok((configs, exports, notices))
}

fn error_of(json: &str) -> String {
    converted(json).expect_err(json).to_string()
}

#[test]
fn dev_is_always_there() {
    let (mounts, ..) = converted("[]").expect("valid");
    assert!(matches!(mounts[..], [MountConfig { source: MountSource::Dev, .. }]));
    let (mounts, ..) =
        converted(r#"[{"destination":"/dev/","type":"tmpfs","options":["mode=755","size=64k"]}]"#)
            .expect("valid");
    assert_eq!(mounts.len(), 1);
    assert!(matches!(mounts[0].source, MountSource::Dev));
}

#[test]
fn tmpfs_options() {
    let (mounts, ..) = converted(
        r#"[{"destination":"/t","type":"tmpfs",
             "options":["nosuid","ro","size=64m","mode=1777","uid=5","gid=6","nr_inodes=1k"]}]"#,
    )
    .expect("valid");
    let mount = mounts.last().expect("one");
    assert!(mount.nosuid && mount.readonly && !mount.nodev);
    let MountSource::Tmpfs { size, nr_inodes, mode, uid, gid } = mount.source else {
        panic!("not a tmpfs")
    };
    assert_eq!(
        (size, nr_inodes, mode, uid, gid),
        (Some(64 << 20), Some(1024), Some(0o1777), Some(5), Some(6))
    );
}

#[test]
fn bind_of_a_file_is_exported() {
    let (mounts, exports, _) = converted(
        r#"[{"destination":"etc/../hosts","type":"none","source":"/etc/hosts","options":["rbind","ro"]}]"#,
    )
    .expect("valid");
    let mount = mounts.last().expect("one");
    assert_eq!(mount.destination, "/hosts");
    assert!(matches!(mount.source, MountSource::Bind { is_directory: false, .. }));
    assert!(exports[0].readonly && exports[0].recursive);
}

#[test]
fn shared_propagation_is_noted() {
    let (.., notices) = converted(
        r#"[{"destination":"/x","type":"bind","source":"/etc","options":["bind","rshared"]}]"#,
    )
    .expect("valid");
    assert_eq!(notices.0.len(), 1);
}

#[test]
fn hostile_mounts_are_refused_by_name() {
    for (json, field) in [
        (r#"[{"destination":"/","type":"tmpfs"}]"#, "mounts[0].destination"),
        (r#"[{"destination":"/../..","type":"tmpfs"}]"#, "mounts[0].destination"),
        (r#"[{"destination":"","type":"tmpfs"}]"#, "mounts[0].destination"),
        (r#"[{"destination":"/a\u0000b","type":"tmpfs"}]"#, "mounts[0].destination"),
        (r#"[{"destination":"/x","type":"ext4","source":"/dev/sda"}]"#, "mounts[0].type"),
        (r#"[{"destination":"/x"}]"#, "mounts[0].type"),
        (r#"[{"destination":"/x","type":"bind"}]"#, "mounts[0].source"),
        (r#"[{"destination":"/x","type":"bind","source":"/nonexistent"}]"#, "/nonexistent"),
        (r#"[{"destination":"/x","type":"tmpfs","options":["size=x"]}]"#, "mounts[0].options[0]"),
        (r#"[{"destination":"/x","type":"tmpfs","options":["size"]}]"#, "mounts[0].options[0]"),
        (
            r#"[{"destination":"/x","type":"tmpfs","options":["size=99999999999999g"]}]"#,
            "too large",
        ),
        (
            r#"[{"destination":"/x","type":"tmpfs","options":["ro","mode=9"]}]"#,
            "mounts[0].options[1]",
        ),
        (
            r#"[{"destination":"/x","type":"tmpfs","options":["mode=77777"]}]"#,
            "mounts[0].options[0]",
        ),
        (r#"[{"destination":"/x","type":"tmpfs","options":["nosuch"]}]"#, "nosuch"),
        (r#"[{"destination":"/x","type":"sysfs","options":["gid=1"]}]"#, "gid"),
        (r#"[{"destination":"/x","type":"devpts","options":["gid=-1"]}]"#, "mounts[0].options[0]"),
        (r#"[{"destination":"/x","type":"bind","source":"/etc","options":["idmap"]}]"#, "idmap"),
    ] {
        let error = error_of(json);
        assert!(error.contains(field), "{json}: {error}");
    }
}
