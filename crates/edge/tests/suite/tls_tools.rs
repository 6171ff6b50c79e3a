//! TLS as other people's programs see it: curl and openssl.

use crate::secure::*;
use crate::support::*;
use machine::process::{Command, Processes, SystemProcesses};

async fn run(command: Command) -> String {
    let output = SystemProcesses.run(&command).await.unwrap();
    [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
}

fn openssl(lab: &Lab, ca: &Ca, more: &[&str]) -> Command {
    let address = lab.address.to_string();
    let ca = ca.pem().display().to_string();
    let words = ["s_client", "-connect", &address, "-servername", "lab.test", "-CAfile", &ca, "-verify_return_error"];
    Command::new("openssl").args(words).args(more.iter().copied())
}

#[tokio::test]
async fn curl_gets_its_answer_over_http_2_and_over_http_1() {
    let ca = Ca::new();
    let (lab, _) = secure_lab(&[echo("a").await], vec![ca.certificate(&["lab.test"])]).await;
    let port = lab.address.port();
    for (flag, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let (resolve, url) = (format!("lab.test:{port}:127.0.0.1"), format!("https://lab.test:{port}/"));
        let pem = ca.pem().display().to_string();
        let words = ["-sS", flag, "--cacert", &pem, "--resolve", &resolve, "-w", "%{http_version} %{http_code}", &url];
        let said = run(Command::new("curl").args(words)).await;
        assert!(said.ends_with(&format!("{version} 200")) && said.contains("x-forwarded-proto: https"), "{said}");
    }
}

#[tokio::test]
async fn openssl_finds_modern_versions_and_suites_only() {
    let ca = Ca::new();
    let (lab, _) = secure_lab(&[], vec![ca.certificate(&["lab.test"])]).await;
    let said = run(openssl(&lab, &ca, &["-tls1_3", "-alpn", "h2"])).await;
    assert!(said.contains("New, TLSv1.3") && said.contains("ALPN protocol: h2"), "{said}");
    assert!(said.contains("Verification: OK") && said.contains("Secure Renegotiation IS NOT supported"), "{said}");
    let said = run(openssl(&lab, &ca, &["-tls1_2"])).await;
    assert!(said.contains("New, TLSv1.2, Cipher is ECDHE-ECDSA-"), "{said}");
    assert!(
        said.contains("Secure Renegotiation IS supported") && said.contains("Extended master secret: yes"),
        "{said}"
    );
    for weak in [
        ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"].as_slice(),
        &["-tls1", "-cipher", "DEFAULT@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "AES128-SHA:AES256-GCM-SHA384@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA256@SECLEVEL=0"],
    ] {
        let said = run(openssl(&lab, &ca, weak)).await;
        assert!(said.contains("Cipher is (NONE)"), "{weak:?}: {said}");
    }
}

#[tokio::test]
async fn openssl_resumes_by_ticket_and_by_session_id() {
    let ca = Ca::new();
    let (lab, _) = secure_lab(&[], vec![ca.certificate(&["lab.test"])]).await;
    // Five times in a row, each with the session of the one before.
    for more in [["-tls1_2", "-reconnect"].as_slice(), &["-tls1_2", "-no_ticket", "-reconnect"]] {
        let said = run(openssl(&lab, &ca, more)).await;
        assert_eq!(said.matches("Reused, TLSv1.2").count(), 5, "{more:?}: {said}");
    }
    counted(&lab.control, "mainstay_edge_tls_handshakes_total{version=\"1.2\",kind=\"resumed\"} 10").await;
}
