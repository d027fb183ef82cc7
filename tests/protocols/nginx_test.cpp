// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1, TLS and HTTP/2 of nginx, before an application that takes its time.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <regex>
#include <sstream>
#include <thread>

#include "testbed/arm.h"
#include "testbed/needs.h"
#include "testbed/shell.h"
#include "testbed/tcp.h"
#include "tests/protocols/ground.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)

namespace {

constexpr std::uint16_t kHttp = 8080, kHttp2 = 8081, kTls12 = 8443, kTls13 = 8444, kTlsHttp2 = 8445,
                        kBackend = 8090;
constexpr const char* kServer = R"(
  server {
    listen PORT;
    TLS
    location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }
    location /stream { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
    location /big { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffers 16 64k; proxy_busy_buffers_size 128k; proxy_max_temp_file_size 0; }
  })";

std::string server_block(const std::string& port, const std::string& tls) {
  std::string text = std::regex_replace(kServer, std::regex("PORT"), port);
  if (tls.empty()) return std::regex_replace(text, std::regex("TLS"), "");
  return std::regex_replace(text, std::regex("TLS"),
                            "ssl_certificate FOLDER/cert.pem; ssl_certificate_key FOLDER/key.pem; "
                            "ssl_protocols " +
                                tls + ";");
}

std::string nginx_config(const std::string& folder) {
  const std::string text =
      "daemon off; user root; worker_processes 1; pid FOLDER/nginx.pid; error_log "
      "FOLDER/error.log;\n"
      "events { worker_connections 1024; }\nhttp {\n"
      "  client_body_temp_path FOLDER/t1; proxy_temp_path FOLDER/t2; fastcgi_temp_path FOLDER/t3;\n"
      "  uwsgi_temp_path FOLDER/t4; scgi_temp_path FOLDER/t5; sendfile on; tcp_nodelay on;\n"
      "  keepalive_requests 1000000; log_format port $server_port; access_log FOLDER/access.log "
      "port;\n"
      "  upstream backend { server unix:FOLDER/backend; keepalive 64; keepalive_requests 1000000; "
      "}\n" +
      server_block("8080", "") + server_block("8081 http2", "") +
      server_block("8443 ssl", "TLSv1.2") + server_block("8444 ssl", "TLSv1.3") +
      server_block("8445 ssl http2", "TLSv1.3") + "\n}\n";
  return std::regex_replace(text, std::regex("FOLDER"), folder);
}

class Nginx : public Protocols {
 protected:
  void SetUp() override {
    Protocols::SetUp();
    if (IsSkipped() || started()) return;
    Ground& g = ground();
    must({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
          "-nodes", "-keyout", g.file("key.pem"), "-out", g.file("cert.pem"), "-subj", "/CN=s",
          "-days", "2"});
    std::ofstream(g.file("nginx.conf")) << nginx_config(g.folder());
    g.serve(Ground::python("backend.py", {g.file("backend")}), kBackend);
    g.serve({"nginx", "-e", g.file("error.log"), "-c", g.file("nginx.conf")}, kTlsHttp2);
  }
  static double logged(std::uint16_t port) {
    std::ifstream in(ground().file("access.log"));
    double lines = 0;
    for (std::string line; std::getline(in, line);) lines += line == std::to_string(port) ? 1 : 0;
    return lines;
  }
  // A row with ask.py for a client. `options` follow its path.
  void ask(const std::string& name, std::uint16_t port, const std::string& manner,
           const std::string& path, const std::vector<std::string>& options = {},
           const std::string& status_class = {}) {
    Protocol protocol{name, port, [=] {
                        std::vector<std::string> words{manner, ground().server().ip4(),
                                                       std::to_string(port), path};
                        words.insert(words.end(), options.begin(), options.end());
                        Truth truth = truth_of_json(ground().ask(Ground::python("ask.py", words)));
                        truth.status_class = status_class;
                        // A service that answers so fails, however quickly.
                        if (status_class == "5xx") truth.errors = truth.count;
                        return truth;
                      }};
    if (port != kBackend) protocol.served = [port] { return logged(port); };
    check(protocol);
  }
  // A row with clients that connected before the measurement began; the files tell them to go on.
  void ask_on_older_connections(const std::string& name, std::uint16_t port,
                                const std::vector<std::string>& options,
                                const std::string& status_class,
                                const std::string& manner = "http1") {
    std::vector<Child> clients;
    std::size_t next = 0;
    const auto file = [](const char* what, std::size_t i) {
      return ground().file(std::string(what) + std::to_string(i));
    };
    Protocol protocol{name, port, [&] {
                        std::ofstream(file("go", next)).close();
                        if (clients[next].wait() != 0) throw std::runtime_error("client failed");
                        std::ostringstream out;
                        out << std::ifstream(file("out", next++)).rdbuf();
                        Truth truth = truth_of_json(out.str());
                        truth.status_class = status_class;
                        return truth;
                      }};
    protocol.served = [port] { return logged(port); };
    protocol.before = [&] {
      clients.clear();
      next = 0;
      const double before = logged(port);
      for (const std::size_t i : {0U, 1U}) {
        for (const char* what : {"go", "out"}) std::filesystem::remove(file(what, i));
        std::vector<std::string> words{
            manner,       ground().server().ip4(), std::to_string(port), "/think", "--wait",
            file("go", i)};
        words.insert(words.end(), options.begin(), options.end());
        clients.push_back(ground().start_client(Ground::python("ask.py", words), file("out", i)));
      }
      if (!wait_for([&] { return logged(port) - before == 8; }))
        throw std::runtime_error("the clients did not connect");
    };
    check(protocol);
  }
  // A row with curl, a connection each. What it uploads has no latency of its own by its stopwatch.
  void curl(const std::string& name, std::uint16_t port, const std::string& path,
            const std::vector<std::string>& options, bool uploads = false) {
    check({name, port,
           [=] {
             std::vector<std::string> words{
                 "curl",
                 "-sk",
                 "-o",
                 "/dev/null",
                 "-w",
                 "%{time_pretransfer} %{time_starttransfer} %{time_total} %{http_code}",
                 (port == kTlsHttp2 ? "https://" : "http://") + ground().server().ip4() + ":" +
                     std::to_string(port) + path};
             words.insert(words.end(), options.begin(), options.end());
             std::vector<double> latency, duration;
             int status = 0;
             const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1500);
             while (std::chrono::steady_clock::now() < end) {
               std::istringstream in(ground().ask(words));
               double sent = 0, first = 0, last = 0;
               in >> sent >> first >> last >> status;
               latency.push_back(first - sent);
               duration.push_back(last - sent);
             }
             Truth truth = Truth::of(latency, latency, duration);
             if (uploads) truth.latency_p50 = truth.latency_p99 = std::nullopt;
             // nginx answers 400 to what comes before its settings were acknowledged.
             if (port != kTlsHttp2) truth.status_class = std::to_string(status / 100) + "xx";
             return truth;
           },
           [port] { return logged(port); }});
  }
  // A row with h2load: `streams` at once on each connection, 40 turns.
  void h2load(const std::string& name, std::uint16_t port, int streams, int connections) {
    check({name, port,
           [=] {
             const std::string log = ground().file("h2load.log");
             const std::string url = (port == kTlsHttp2 ? "https://" : "http://") +
                                     ground().server().ip4() + ":" + std::to_string(port) +
                                     "/think";
             std::ofstream(log, std::ios::trunc).close();
             static_cast<void>(
                 ground().ask({"h2load", "-n", std::to_string(streams * connections * 40), "-c",
                               std::to_string(connections), "-m", std::to_string(streams),
                               "--log-file=" + log, url}));
             // Begin in microseconds, status, duration in microseconds.
             std::vector<double> seconds;
             double begin = 0, status = 0, duration = 0, failed = 0;
             for (std::ifstream in(log); in >> begin >> status >> duration;)
               status == 200 ? seconds.push_back(duration / 1e6) : static_cast<void>(++failed);
             Truth truth = Truth::of(seconds, seconds, seconds);
             truth.errors = failed;
             return truth;
           },
           [port] { return logged(port); }});
  }
};

TEST_F(Nginx, Http1) { ask("HTTP/1.1", kHttp, "http1", "/think", {}, "2xx"); }
TEST_F(Nginx, Http1NewConnections) {
  ask("HTTP/1.1, a connection each", kHttp, "http1", "/think", {"--new"}, "2xx");
}
TEST_F(Nginx, Http1ThatAnswers503) {
  ask("HTTP/1.1 that answers 503", kHttp, "http1", "/busy", {}, "5xx");
}
TEST_F(Nginx, Http1Pipelined) {
  ask("HTTP/1.1, four pipelined", kHttp, "pipelined", "/think", {}, "2xx");
}
TEST_F(Nginx, SlowPost) { ask("HTTP/1.1, slow POST", kHttp, "slow-post", "/think", {}, "2xx"); }
TEST_F(Nginx, Expect) {
  ask("HTTP/1.1, Expect: 100-continue", kBackend, "expect", "/think", {}, "2xx");
}
TEST_F(Nginx, BigAnswer) {
  ask("HTTP/1.1, an answer of 24 MB", kHttp, "http1", "/big", {"--connections", "1"}, "2xx");
}
TEST_F(Nginx, ServerStream) {
  ask("HTTP/1.1, a stream of two seconds", kHttp, "http1", "/stream", {}, "2xx");
}
TEST_F(Nginx, WebSocket) { ask("WebSocket", kBackend, "web-socket", "/socket"); }

TEST_F(Nginx, ClientsThatGiveUp) {
  ask("HTTP/1.1, clients that give up", kHttp, "give-up", "/think", {"--new"});
}
TEST_F(Nginx, OlderConnections) {
  ask_on_older_connections("HTTP/1.1, connections older than the measurement", kHttp, {}, "2xx");
}
TEST_F(Nginx, OlderTlsConnections) {
  ask_on_older_connections("TLS 1.3, connections older than the measurement", kTls13,
                           {"--tls", "1.3"}, "");
}

TEST_F(Nginx, Tls12) { ask("TLS 1.2", kTls12, "http1", "/think", {"--tls", "1.2"}); }
TEST_F(Nginx, Tls12NewConnections) {
  ask("TLS 1.2, a connection each", kTls12, "http1", "/think", {"--tls", "1.2", "--new"});
}
TEST_F(Nginx, Tls13) { ask("TLS 1.3", kTls13, "http1", "/think", {"--tls", "1.3"}); }
TEST_F(Nginx, Tls13NewConnections) {
  ask("TLS 1.3, a connection each", kTls13, "http1", "/think", {"--tls", "1.3", "--new"});
}

TEST_F(Nginx, Http2) { ask("HTTP/2", kHttp2, "http2", "/think", {}, "2xx"); }
TEST_F(Nginx, Http2NewConnections) {
  ask("HTTP/2, a connection each", kHttp2, "http2", "/think", {"--new"}, "2xx");
}
TEST_F(Nginx, Http2ThatAnswers503) {
  ask("HTTP/2 that answers 503", kHttp2, "http2", "/busy", {}, "5xx");
}
TEST_F(Nginx, Http2Stream) {
  ask("HTTP/2, a stream of two seconds", kHttp2, "http2", "/stream", {}, "2xx");
}
TEST_F(Nginx, Http2BigAnswer) {
  curl("HTTP/2, an answer of 24 MB", kHttp2, "/big", {"--http2-prior-knowledge"});
}
TEST_F(Nginx, Http2Upload) {
  std::ofstream(ground().file("body")) << std::string(900'000, 'b');
  curl("HTTP/2, an upload of 0.9 MB", kHttp2, "/think",
       {"--http2-prior-knowledge", "--data-binary", "@" + ground().file("body")}, true);
}
TEST_F(Nginx, OlderHttp2Connections) {
  ask_on_older_connections("HTTP/2, connections older than the measurement", kHttp2, {}, "2xx",
                           "http2");
}
TEST_F(Nginx, Http2ClientsThatCancel) {
  ask("HTTP/2, clients that cancel", kHttp2, "http2-cancel", "/think");
}
TEST_F(Nginx, H2load1) { h2load("HTTP/2, h2load -m 1", kHttp2, 1, 4); }
TEST_F(Nginx, H2load2) { h2load("HTTP/2, h2load -m 2", kHttp2, 2, 2); }
TEST_F(Nginx, H2load8) { h2load("HTTP/2, h2load -m 8", kHttp2, 8, 1); }
TEST_F(Nginx, H2load32) { h2load("HTTP/2, h2load -m 32", kHttp2, 32, 1); }

// No row of the page. Of what is lost on the way nothing is told wrongly: each request was
// measured, or is told as missing, and none is an error.
TEST_F(Nginx, Http2UnderLoss) {
  static const SystemClock clock;
  Measuring measuring(ground().server().pod(), {clock, features()});
  api::NetworkLoss spec;
  spec.loss.value = 0.02;
  const auto fault = arm(spec, ground().server().pod());
  measuring.faults_changed();
  static_cast<void>(measuring.take());
  const double before = logged(kHttp2);
  constexpr int kRequests = 1200;
  static_cast<void>(ground().ask(
      {"h2load", "-n", std::to_string(kRequests), "-c", "4", "-m", "8",
       "http://" + ground().server().ip4() + ":" + std::to_string(kHttp2) + "/think"}));
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_EQ(logged(kHttp2) - before, kRequests);
  double answered = 0, failed = 0, missed = 0;
  const Seen seen = measuring.take();
  for (const api::EffectSample& sample : seen.samples) {
    if (sample.metric == "request.rate") answered += sample.value;
    if (sample.metric == "request.errors") failed += sample.numerator;
  }
  for (const api::Gap& gap : seen.gaps) {
    std::cout << gap.metric << ": " << gap.reason << std::endl;
    if (gap.metric == "request.*") missed += static_cast<double>(gap.missed.value_or(0));
  }
  std::cout << answered << " answered, " << missed << " missed" << std::endl;
  EXPECT_EQ(failed, 0);
  EXPECT_GT(missed, 0);
  EXPECT_GT(answered, kRequests / 2);
  EXPECT_NEAR(answered + missed, kRequests, kRequests / 100);
}

TEST_F(Nginx, Http2OverTls) {
  ask("HTTP/2 over TLS", kTlsHttp2, "http2", "/think", {"--tls", "1.3"});
}
TEST_F(Nginx, Http2OverTlsNewConnections) {
  ask("HTTP/2 over TLS, a connection each", kTlsHttp2, "http2", "/think",
      {"--tls", "1.3", "--new"});
}
TEST_F(Nginx, Http2OverTlsCurl) { curl("HTTP/2 over TLS, curl", kTlsHttp2, "/think", {}); }
TEST_F(Nginx, H2loadOverTls1) { h2load("HTTP/2 over TLS, h2load -m 1", kTlsHttp2, 1, 4); }
TEST_F(Nginx, H2loadOverTls8) { h2load("HTTP/2 over TLS, h2load -m 8", kTlsHttp2, 8, 1); }

// The same by tls.request.*, where the kernel has uprobes.
class NginxByTlsCalls : public Nginx {
 protected:
  void SetUp() override {
    FAULTLINE_NEEDS(agent::KernelFeature::kUprobe);
    Nginx::SetUp();
    family_ = Family::kTlsCalls;
    // A client's pod has had the library all the time, as one that runs has.
    older_.emplace(ground().start_client(
        {"/usr/bin/python3", "-c", "import ssl, signal; signal.pause()"}, ground().file("older")));
  }
  std::optional<Child> older_;
};

TEST_F(NginxByTlsCalls, Http1) {
  ask("HTTP/1.1 over TLS 1.3, by the calls", kTls13, "http1", "/think", {"--tls", "1.3"}, "2xx");
}
TEST_F(NginxByTlsCalls, Http1NewConnections) {
  ask("HTTP/1.1 over TLS 1.3, a connection each, by the calls", kTls13, "http1", "/think",
      {"--tls", "1.3", "--new"}, "2xx");
}
TEST_F(NginxByTlsCalls, Http1Tls12) {
  ask("HTTP/1.1 over TLS 1.2, by the calls", kTls12, "http1", "/think", {"--tls", "1.2"}, "2xx");
}
TEST_F(NginxByTlsCalls, Http1ThatAnswers503) {
  ask("HTTP/1.1 over TLS 1.3 that answers 503, by the calls", kTls13, "http1", "/busy",
      {"--tls", "1.3"}, "5xx");
}
TEST_F(NginxByTlsCalls, Http2) {
  ask("HTTP/2 over TLS, by the calls", kTlsHttp2, "http2", "/think", {"--tls", "1.3"}, "2xx");
}
TEST_F(NginxByTlsCalls, Http2NewConnections) {
  ask("HTTP/2 over TLS, a connection each, by the calls", kTlsHttp2, "http2", "/think",
      {"--tls", "1.3", "--new"}, "2xx");
}
TEST_F(NginxByTlsCalls, H2load8) {
  h2load("HTTP/2 over TLS, h2load -m 8, by the calls", kTlsHttp2, 8, 1);
}

}  // namespace
}  // namespace faultline::test
