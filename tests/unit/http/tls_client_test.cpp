// SPDX-License-Identifier: Apache-2.0
// The client against OpenSSL's own server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/unit/http/misbehaving.h"
#include "tests/unit/http/pki.h"

namespace faultline::http {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::StartsWith;

// A program that serves TLS and says "ACCEPT 127.0.0.1:PORT".
class Peer {
 public:
  Peer(const Pem& pem, std::vector<std::string> words) {
    words.insert(words.end(), {"-cert", folder_.write("crt", pem.certificate)});
    words.insert(words.end(), {"-key", folder_.write("key", pem.key)});
    int out[2];
    if (pipe(out) != 0) return;
    child_ = fork();
    if (child_ == 0) {
      dup2(out[1], STDOUT_FILENO);
      close(out[0]);
      close(out[1]);
      std::vector<char*> raw;
      for (std::string& word : words) raw.push_back(word.data());
      raw.push_back(nullptr);
      execvp(raw.front(), raw.data());
      _exit(127);
    }
    close(out[1]);
    out_ = out[0];
    std::string got;
    char byte;
    while (!got.starts_with("ACCEPT 127.0.0.1:") || got.back() != '\n') {
      if (read(out_, &byte, 1) != 1) break;
      got = (got.ends_with('\n') ? "" : got) + byte;
    }
    if (const auto colon = got.rfind(':'); colon != got.npos) port_ = got.substr(colon + 1);
    while (port_.ends_with('\n')) port_.pop_back();
  }
  ~Peer() {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
    close(out_);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  [[nodiscard]] ClientOptions options(ClientTls tls, const std::string& host = "127.0.0.1") const {
    ClientOptions options;
    options.base_url = "https://" + host + ":" + port_;
    options.tls = std::move(tls);
    return options;
  }
  [[nodiscard]] Result<ClientResponse> ask(ClientTls tls,
                                           const std::string& host = "127.0.0.1") const {
    return request_blocking(options(std::move(tls), host), "GET", "/", "", seconds(10));
  }

 private:
  Folder folder_;
  std::string port_;
  pid_t child_ = -1;
  int out_ = -1;
};

// Answers every GET with a page about the connection, and closes it.
class OpensslServer : public Peer {
 public:
  explicit OpensslServer(const Pem& pem, std::vector<std::string> more = {})
      : Peer(pem, words(std::move(more))) {}

 private:
  static std::vector<std::string> words(std::vector<std::string> more) {
    more.insert(more.begin(), {"openssl", "s_server", "-accept", "127.0.0.1:0", "-www"});
    return more;
  }
};

// Keeps connections, sends session tickets, and answers with the client's port. Closes a connection
// that was silent for a second.
constexpr const char* kPython = R"py(
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 1
    def do_GET(self):
        body = str(self.client_address[1]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[4])
server.socket = context.wrap_socket(server.socket, server_side=True)
print("ACCEPT 127.0.0.1:%d" % server.server_port, flush=True)
server.serve_forever()
)py";

class TlsClient : public testing::Test {
 protected:
  // The one line that a failed connection is told by.
  std::string refusal(const Authority::Wish& wish, ClientTls tls,
                      const std::string& host = "127.0.0.1") {
    OpensslServer server(ca_.issue(wish));
    const auto answer = server.ask(std::move(tls), host);
    if (answer) return "accepted";
    EXPECT_EQ(answer.error().code, Errc::kUnavailable);
    EXPECT_THAT(answer.error().message, StartsWith("cannot connect to " + host));
    return answer.error().message;
  }
  ClientTls trust() const { return {.ca_pem = ca_.pem()}; }

  Authority ca_{"the test's CA"};
};

TEST_F(TlsClient, AcceptsACertificateForTheNameAndForTheAddress) {
  FAULTLINE_NEEDS_LOCALHOST;
  OpensslServer server(ca_.issue({}));
  for (const char* host : {"127.0.0.1", "localhost"}) {
    const auto answer = server.ask(trust(), host);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, 200);
    EXPECT_THAT(answer->body, HasSubstr("TLSv1.3"));
  }
}

TEST_F(TlsClient, KeepsAConnectionOnWhichTicketsComeAndMakesANewOneWhenItWasClosed) {
  const Peer server(ca_.issue({}), {"python3", "-c", kPython});
  asio::io_context io(1);
  Client client(io.get_executor(), server.options(trust()));
  std::string first;
  for (int i = 0; i < 20; ++i) {
    const auto answer = run(io, client.request("GET", "/", "", seconds(5)));
    ASSERT_TRUE(answer) << answer.error().message;
    if (i == 0) first = answer->body;
    EXPECT_EQ(answer->body, first);
  }
  std::this_thread::sleep_for(milliseconds(1500));
  const auto answer = run(io, client.request("GET", "/", "", seconds(5)));
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_NE(answer->body, first);
}

TEST_F(TlsClient, TakesTheServerNameInsteadOfTheUrls) {
  ClientTls tls = trust();
  tls.server_name = "kubernetes.default.svc";
  OpensslServer server(ca_.issue({.names = "DNS:kubernetes.default.svc"}));
  const auto answer = server.ask(tls);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_FALSE(server.ask(trust()));
}

TEST_F(TlsClient, RefusesAWrongNameAndSaysWhichOnesThereAre) {
  FAULTLINE_NEEDS_LOCALHOST;
  EXPECT_THAT(refusal({.names = "DNS:shop.example,IP:10.0.0.1,IP:::1"}, trust()),
              HasSubstr("its certificate is for shop.example, 10.0.0.1, ::1, not for 127.0.0.1"));
  EXPECT_THAT(refusal({.names = "IP:127.0.0.1"}, trust(), "localhost"),
              HasSubstr("is for 127.0.0.1, not for localhost"));
  // Names are in the alternative names, nowhere else.
  EXPECT_THAT(refusal({.names = "", .common_name = "localhost"}, trust(), "localhost"),
              HasSubstr("is for no name at all, not for localhost"));
}

TEST_F(TlsClient, RefusesACertificateThatExpiredOrIsNotYetValid) {
  EXPECT_THAT(refusal({.begins = seconds(-7200), .ends = seconds(-3600)}, trust()),
              HasSubstr("its certificate expired at 20"));
  EXPECT_THAT(refusal({.begins = seconds(3600), .ends = seconds(7200)}, trust()),
              HasSubstr("its certificate is not valid before 20"));
}

TEST_F(TlsClient, RefusesAnUnknownIssuer) {
  const Authority other("somebody else");
  const Authority same_name("the test's CA");
  EXPECT_THAT(refusal({}, {.ca_pem = other.pem()}),
              HasSubstr("its certificate is from an unknown issuer (CN=the test's CA)"));
  EXPECT_NE(refusal({}, {.ca_pem = same_name.pem()}), "accepted");
  EXPECT_THAT(refusal({}, {}), HasSubstr("unknown issuer"));  // not one of the system's
  // Two CAs, as while one replaces the other.
  EXPECT_EQ(refusal({}, {.ca_pem = other.pem() + ca_.pem()}), "accepted");
}

TEST_F(TlsClient, SaysThatTheCaExpired) {
  const Authority old("an old CA", seconds(-60));
  OpensslServer server(old.issue({}));
  const auto answer = server.ask({.ca_pem = old.pem()});
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message,
              HasSubstr("the certificate of its CA (CN=an old CA) expired at 20"));
}

TEST_F(TlsClient, ShowsItsCertificateToAServerThatAsks) {
  Folder folder;
  const std::vector<std::string> asks = {"-CAfile", folder.write("ca", ca_.pem()), "-Verify", "2",
                                         "-verify_return_error"};
  OpensslServer server(ca_.issue({}), asks);
  const Pem mine = ca_.issue({.names = "", .common_name = "agent-7"});
  ClientTls tls = trust();
  tls.certificate_pem = mine.certificate;
  tls.key_pem = mine.key;
  const auto answer = server.ask(tls);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(answer->body, HasSubstr("agent-7"));

  const auto without = server.ask(trust());
  ASSERT_FALSE(without);
  EXPECT_THAT(without.error().message, HasSubstr("asks for a client certificate"));
}

TEST_F(TlsClient, SpeaksNothingOlderThanTls12) {
  OpensslServer old(ca_.issue({}), {"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"});
  const auto answer = old.ask(trust());
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("no TLS 1.2 or newer"));
  OpensslServer good(ca_.issue({}), {"-tls1_2"});
  EXPECT_TRUE(good.ask(trust()));
}

TEST_F(TlsClient, SaysThatAPlainServerDoesNotSpeakTls) {
  Script server([](int fd, int) {
    Script::write(fd, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    char bytes[1000];
    recv(fd, bytes, sizeof bytes, 0);
  });
  ClientOptions options = server.options();
  options.base_url.insert(4, "s");
  options.tls = trust();
  const auto answer = request_blocking(options, "GET", "/", "", seconds(5));
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("does not speak TLS"));
}

TEST_F(TlsClient, AStalledHandshakeEndsWithTheTimeToConnect) {
  Script server([](int fd, int) { Script::read_request(fd); });
  ClientOptions options = server.options();
  options.base_url.insert(4, "s");
  options.tls = trust();
  options.connect_timeout = milliseconds(300);
  const auto begin = std::chrono::steady_clock::now();
  const auto answer = request_blocking(options, "GET", "/", "", seconds(20));
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("no answer within 0.3 s"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(3));
}

TEST_F(TlsClient, WrongOptionsAreInvalidAndNothingIsSent) {
  const Pem mine = ca_.issue({}), other = ca_.issue({});
  const auto problem = [&](const ClientTls& tls, const char* scheme = "https") {
    ClientOptions options;
    options.base_url = std::string(scheme) + "://127.0.0.1:1";
    options.tls = tls;
    const auto answer = request_blocking(options, "GET", "/", "", seconds(5));
    EXPECT_EQ(answer.error().code, Errc::kInvalid);
    return answer.error().message;
  };
  EXPECT_EQ(problem({.ca_pem = "nonsense"}),
            "the CA certificates: there is none in it in PEM form");
  EXPECT_EQ(problem({.certificate_pem = mine.certificate}),
            "a client certificate and its key are given together");
  EXPECT_EQ(problem({.certificate_pem = mine.certificate, .key_pem = other.key}),
            "the key of the client certificate: the key does not belong to the certificate");
  EXPECT_EQ(problem({.certificate_pem = mine.certificate, .key_pem = "x"}),
            "the key of the client certificate: there is none in it in PEM form");
  EXPECT_THAT(problem(trust(), "http"), HasSubstr("is not https"));
}

}  // namespace
}  // namespace faultline::http
