// SPDX-License-Identifier: Apache-2.0
// The server's TLS, asked by curl, by openssl and by our client.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <sstream>

#include "tests/unit/http/misbehaving.h"
#include "tests/unit/http/pki.h"

namespace faultline::http {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::StartsWith;

// What the shell command writes, to both of its outputs.
std::string shell(const std::string& command) {
  FILE* pipe = popen(("exec 2>&1; " + command).c_str(), "r");
  std::string got;
  char bytes[4096];
  while (const std::size_t n = fread(bytes, 1, sizeof bytes, pipe)) got.append(bytes, n);
  pclose(pipe);
  return got;
}

class TlsServer : public testing::Test {
 protected:
  void SetUp() override {
    show(ca_.issue({}));
    folder_.write("ca", ca_.pem());
    options_.tls = ServerTls{folder_.file("crt"), folder_.file("key"), ""};
  }
  void show(const Pem& pem) {
    folder_.write("crt", pem.certificate);
    folder_.write("key", pem.key);
  }
  void start() {
    server_.emplace([this](Server& server) { routes(server); }, options_);
  }

  void routes(Server& server) {
    server.route("GET", "/hello", {},
                 [](Request) -> asio::awaitable<Response> { co_return text("hello"); });
    server.route("GET", "/who", {}, [](Request request) -> asio::awaitable<Response> {
      std::string who = request.client.common_name;
      for (const std::string& of : request.client.organizations) who += "/" + of;
      co_return text(request.peer + " " + who + ".");
    });
    server.route("POST", "/echo", {}, [](Request request) -> asio::awaitable<Response> {
      co_return text(std::move(request.body));
    });
    server.route("GET", "/slow", {}, [](Request) -> asio::awaitable<Response> {
      co_await pause(milliseconds(300));
      co_return text("late");
    });
    server.route("GET", "/poll", {}, [this](Request) -> asio::awaitable<Response> {
      const std::shared_ptr<void> end(nullptr, [this](void*) { ++ended_; });
      co_await pause(seconds(60));
      co_return text("nothing new");
    });
    server.route("GET", "/silent", {}, [this](Request) -> asio::awaitable<Response> {
      Response response;
      response.stream = [this](EventSink& sink) -> asio::awaitable<void> {
        const std::shared_ptr<void> end(nullptr, [this](void*) { ++ended_; });
        co_await sink.keep_alive();
        co_await pause(seconds(60));
      };
      co_return response;
    });
    server.route("GET", "/three", {}, [](Request) -> asio::awaitable<Response> {
      Response response;
      response.stream = [](EventSink& sink) -> asio::awaitable<void> {
        for (int i = 0; i < 3; ++i) co_await sink.send("state", std::string(100'000, 'x'), "");
      };
      co_return response;
    });
  }

  [[nodiscard]] std::string at(const std::string& path) const {
    return "https://127.0.0.1:" + std::to_string(server_->port()) + path;
  }
  [[nodiscard]] std::string curl(const std::string& words) const {
    return shell("curl -sS --max-time 8 --cacert " + folder_.file("ca") + " " + words);
  }
  // "subject=CN = test": whom the server shows to a new connection.
  [[nodiscard]] std::string shown() const {
    return shell("openssl s_client -connect 127.0.0.1:" + std::to_string(server_->port()) +
                 " </dev/null 2>/dev/null | openssl x509 -noout -subject");
  }
  [[nodiscard]] ClientOptions client() const {
    ClientOptions options;
    options.base_url = at("");
    options.tls = ClientTls{.ca_pem = ca_.pem()};
    return options;
  }
  Result<ClientResponse> ask(const ClientOptions& options, const std::string& target) {
    return request_blocking(options, "GET", target, "", seconds(8));
  }
  bool eventually_ended(int count) {
    for (int i = 0; i < 3000 && ended_ < count; ++i) std::this_thread::sleep_for(milliseconds(1));
    return ended_ == count;
  }

  Folder folder_;
  Authority ca_{"the test's CA"};
  ServerOptions options_;
  std::atomic<int> ended_{0};
  std::optional<Loopback> server_;
};

TEST_F(TlsServer, AnswersCurlOpensslAndOurClient) {
  start();
  ASSERT_TRUE(server_->started());
  EXPECT_EQ(curl(at("/hello")), "hello");
  EXPECT_EQ(curl("--tls-max 1.2 " + at("/hello")), "hello");
  EXPECT_EQ(ask(client(), "/hello")->body, "hello");
  const std::string s_client = shell(
      "printf 'GET /hello HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' | "
      "timeout 8 openssl s_client -quiet -verify_quiet -verify_return_error -verify_ip "
      "127.0.0.1 -CAfile " +
      folder_.file("ca") + " -connect 127.0.0.1:" + std::to_string(server_->port()));
  EXPECT_THAT(s_client, HasSubstr("HTTP/1.1 200"));
  EXPECT_THAT(s_client, testing::EndsWith("hello"));
}

TEST_F(TlsServer, SpeaksNothingOlderThanTls12) {
  start();
  EXPECT_THAT(shell("openssl s_client -tls1_1 -cipher ALL:@SECLEVEL=0 -connect 127.0.0.1:" +
                    std::to_string(server_->port()) + " </dev/null"),
              HasSubstr("alert protocol version"));
}

TEST_F(TlsServer, KeepsTheConnection) {
  start();
  asio::io_context io(1);
  Client one(io.get_executor(), client());
  const std::string first = run(io, one.request("GET", "/who", "", seconds(5)))->body;
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(run(io, one.request("GET", "/who", "", seconds(5)))->body, first);
  EXPECT_THAT(curl("-v " + at("/hello") + " " + at("/hello")), HasSubstr("Re-using existing"));
}

TEST_F(TlsServer, CarriesALargeBodyBothWays) {
  start();
  std::string body(3'000'000, 'x');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i % 23);
  EXPECT_TRUE(request_blocking(client(), "POST", "/echo", body, seconds(8))->body == body);
  EXPECT_TRUE(curl("--data-binary @" + folder_.write("body", body) + " " + at("/echo")) == body);
}

TEST_F(TlsServer, TellsAPlainClientAndClosesWithoutAReset) {
  start();
  RawClient plain(server_->port());
  plain.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n" + std::string(20'000, 'x'));
  const std::string got = plain.receive_all();
  EXPECT_THAT(got, StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(got, HasSubstr("this port speaks https"));
  EXPECT_TRUE(plain.closed_by_server());
  RawClient nonsense(server_->port());
  nonsense.send("SSH-2.0-OpenSSH_9.2\r\n\r\n");
  nonsense.receive_all();
  EXPECT_TRUE(nonsense.closed_by_server());
  EXPECT_EQ(curl(at("/hello")), "hello");
}

TEST_F(TlsServer, AStalledHandshakeIsClosedAndHoldsNobodyUp) {
  options_.header_timeout = seconds(1);
  start();
  std::vector<std::unique_ptr<RawClient>> stalled;
  for (int i = 0; i < 50; ++i) {
    stalled.push_back(std::make_unique<RawClient>(server_->port()));
    if (i % 2 == 0) stalled.back()->send("\x16\x03\x01\x02\x10\x01");  // a record has begun
  }
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(ask(client(), "/hello")->body, "hello");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(900));
  for (const auto& one : stalled) {
    one->receive_all(milliseconds(4000));
    EXPECT_TRUE(one->closed_by_server());
  }
}

TEST_F(TlsServer, NewCertificatesAreShownToNewConnectionsAndOldOnesGoOn) {
  start();
  asio::io_context io(1);
  Client kept(io.get_executor(), client());
  const std::string first = run(io, kept.request("GET", "/who", "", seconds(5)))->body;
  EXPECT_THAT(shown(), HasSubstr("CN = test"));

  const Authority next("the next CA");
  show(next.issue({.common_name = "second"}));
  EXPECT_THAT(shown(), HasSubstr("CN = second"));
  EXPECT_FALSE(ask(client(), "/hello"));
  ClientOptions trusts_next = client();
  trusts_next.tls->ca_pem = next.pem();
  EXPECT_EQ(ask(trusts_next, "/hello")->body, "hello");
  EXPECT_EQ(run(io, kept.request("GET", "/who", "", seconds(5)))->body, first);
}

TEST_F(TlsServer, ABrokenNewFileLeavesTheOldOnesInUseAndIsLoggedOnce) {
  const auto usual = spdlog::default_logger();
  std::ostringstream log;
  spdlog::set_default_logger(std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log)));
  start();
  const Pem second = ca_.issue({.common_name = "second"});
  folder_.write("crt", second.certificate);  // whose key is not there yet
  for (int i = 0; i < 3; ++i) EXPECT_THAT(shown(), HasSubstr("CN = test"));
  EXPECT_EQ(ask(client(), "/hello")->body, "hello");
  folder_.write("key", second.key);
  EXPECT_THAT(shown(), HasSubstr("CN = second"));
  folder_.write("crt", "half a certif");
  EXPECT_THAT(shown(), HasSubstr("CN = second"));
  std::filesystem::remove(folder_.file("crt"));
  EXPECT_THAT(shown(), HasSubstr("CN = second"));
  folder_.write("crt", ca_.issue({.common_name = "third"}).certificate);
  EXPECT_THAT(shown(), HasSubstr("CN = second"));
  server_.reset();
  spdlog::set_default_logger(usual);
  const std::string said = log.str();
  const auto times = [&](std::string_view words) {
    int count = 0;
    for (auto at = said.find(words); at != said.npos; at = said.find(words, at + 1)) ++count;
    return count;
  };
  EXPECT_EQ(times("the old ones stay"), 4) << said;
  EXPECT_EQ(times("was read anew"), 1) << said;
  EXPECT_THAT(said, HasSubstr("the key does not belong to the certificate"));
  EXPECT_THAT(said, HasSubstr(folder_.file("crt") + ": No such file or directory"));
}

TEST_F(TlsServer, KnowsAClientByItsCertificate) {
  const Authority clients("the clients' CA"), others("somebody else");
  options_.tls->client_ca_file = folder_.write("clients", clients.pem());
  start();
  const Pem mine = clients.issue({.names = "", .common_name = "front-proxy"});
  const Pem foreign = others.issue({.names = "", .common_name = "front-proxy"});
  const Pem expired = clients.issue({.names = "", .common_name = "old", .ends = seconds(-60)});
  const auto with = [&](const Pem& pem) {
    ClientOptions options = client();
    options.tls->certificate_pem = pem.certificate;
    options.tls->key_pem = pem.key;
    return ask(options, "/who");
  };
  EXPECT_THAT(with(mine)->body, HasSubstr(" front-proxy."));
  EXPECT_THAT(ask(client(), "/who")->body, HasSubstr(" ."));
  EXPECT_THAT(with(foreign).error().message, HasSubstr("the other side does not know"));
  EXPECT_THAT(with(expired).error().message, HasSubstr("has expired, says the other side"));
  EXPECT_THAT(curl("--cert " + folder_.write("c", mine.certificate) + " --key " +
                   folder_.write("k", mine.key) + " " + at("/who")),
              HasSubstr(" front-proxy."));
  EXPECT_THAT(curl(at("/who")), HasSubstr(" ."));
}

TEST_F(TlsServer, AClientsGroupsAreTheOrganizationsOfItsCertificate) {
  const Authority clients("the clients' CA");
  options_.tls->client_ca_file = folder_.write("clients", clients.pem());
  start();
  const auto shows = [&](const Authority::Wish& wish) {
    const Pem pem = clients.issue(wish);
    return curl("--cert " + folder_.write("c", pem.certificate) + " --key " +
                folder_.write("k", pem.key) + " " + at("/who"));
  };
  EXPECT_THAT(shows({.names = "", .common_name = "jane", .organizations = {"shop", "on-call"}}),
              HasSubstr(" jane/shop/on-call."));
  // A server's certificate is none of a client, as the API server sees it too.
  EXPECT_THAT(shows({.names = "", .common_name = "jane", .usage = "serverAuth"}),
              HasSubstr("unsupported certificate"));
  EXPECT_THAT(shows({.names = "", .common_name = "jane", .usage = "clientAuth"}),
              HasSubstr(" jane."));
}

TEST_F(TlsServer, AnOptionalAuthorityOfClientsCountsFromWhenItIsThere) {
  const Authority clients("the clients' CA");
  options_.tls->client_ca_file = folder_.file("clients");
  options_.tls->client_ca_optional = true;
  start();
  const Pem mine = clients.issue({.names = "", .common_name = "jane"});
  const auto who = [&] {
    return curl("--cert " + folder_.write("c", mine.certificate) + " --key " +
                folder_.write("k", mine.key) + " " + at("/who"));
  };
  EXPECT_THAT(who(), HasSubstr(" ."));
  folder_.write("clients", clients.pem());
  EXPECT_THAT(who(), HasSubstr(" jane."));
  std::filesystem::remove(folder_.file("clients"));
  EXPECT_THAT(who(), HasSubstr(" ."));
  server_.reset();
  options_.tls->client_ca_optional = false;
  asio::io_context io(1);
  Server strict(io.get_executor(), options_);
  EXPECT_THAT(strict.start().error().message, HasSubstr("clients: No such file or directory"));
}

TEST_F(TlsServer, NoticesThatTheClientIsGone) {
  start();
  EXPECT_THAT(curl("-N --max-time 0.5 " + at("/silent")), HasSubstr("timed out"));
  EXPECT_TRUE(eventually_ended(1));
  EXPECT_THAT(curl("--max-time 0.5 " + at("/poll")), HasSubstr("timed out"));
  EXPECT_TRUE(eventually_ended(2));
  asio::io_context io(1);
  Client ours(io.get_executor(), client());
  EXPECT_FALSE(run(io, ours.request("GET", "/poll", "", milliseconds(300))));
  EXPECT_TRUE(eventually_ended(3));
}

TEST_F(TlsServer, StreamsEventsAndGoesOnAfterwards) {
  start();
  EXPECT_EQ(curl(at("/three") + " " + at("/hello")).size(),
            3 * (100'000 + std::string_view("event: state\ndata: \n\n").size()) + 5);
}

TEST_F(TlsServer, ARequestThatComesDuringAnotherIsNotLost) {
  start();
  const std::string both = shell(
      "(printf 'GET /slow HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'; sleep 0.1; printf 'GET /hello "
      "HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n') | timeout 8 openssl s_client "
      "-quiet -verify_quiet -ign_eof -connect 127.0.0.1:" +
      std::to_string(server_->port()));
  EXPECT_NE(both.find("late"), both.npos) << both;
  EXPECT_GT(both.find("hello"), both.find("late"));
  EXPECT_THAT(both, testing::EndsWith("hello"));
}

TEST_F(TlsServer, StopsAtOnceWithIdleConnectionsAndHandshakes) {
  start();
  asio::io_context io(1);
  Client idle(io.get_executor(), client());
  ASSERT_TRUE(run(io, idle.request("GET", "/hello", "", seconds(5))));
  RawClient stalled(server_->port());
  stalled.send("\x16\x03\x01");
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_LT(server_->stop(seconds(10)), milliseconds(1000));
}

TEST_F(TlsServer, BeyondTheMostHandshakesTheOldestIsClosedForANewOne) {
  options_.max_handshakes = 1;
  start();
  RawClient first(server_->port());
  std::this_thread::sleep_for(milliseconds(100));
  RawClient second(server_->port());
  first.receive_all(milliseconds(3000));
  EXPECT_TRUE(first.closed_by_server());
  second.receive_all(milliseconds(100));
  EXPECT_FALSE(second.closed_by_server());
}

TEST_F(TlsServer, DoesNotStartWithoutGoodFiles) {
  const Pem other = ca_.issue({});
  const auto problem = [&](ServerTls tls) {
    ServerOptions options;
    options.tls = std::move(tls);
    asio::io_context io;
    Server server(io.get_executor(), options);
    const auto started = server.start();
    return started ? "started" : started.error().message;
  };
  const std::string crt = folder_.file("crt"), key = folder_.file("key");
  EXPECT_EQ(problem({crt, key, ""}), "started");
  EXPECT_EQ(problem({folder_.file("none"), key, ""}),
            "cannot serve TLS: " + folder_.file("none") + ": No such file or directory");
  EXPECT_EQ(problem({crt, folder_.write("other", other.key), ""}),
            "cannot serve TLS: " + folder_.file("other") +
                ": the key does not belong to the certificate");
  EXPECT_EQ(problem({key, key, ""}),
            "cannot serve TLS: " + key + ": there is none in it in PEM form");
  EXPECT_EQ(problem({crt, key, folder_.write("empty", "")}),
            "cannot serve TLS: " + folder_.file("empty") + ": there is none in it in PEM form");
}

}  // namespace
}  // namespace faultline::http
