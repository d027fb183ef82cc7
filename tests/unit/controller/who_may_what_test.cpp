// SPDX-License-Identifier: Apache-2.0
// docs/who-may-what.md, table http: every door as every actor, at a whole controller on loopback.
// Who may what is said by a fake here; that Kubernetes says it like this is in tests/cluster.
#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "house.h"
#include "tests/places.h"

namespace faultline::controller::test {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Row {
  std::string door;
  std::map<std::string, std::string> cells;  // by actor
};

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream in(line.substr(1));
  for (std::string cell; std::getline(in, cell, '|');) {
    const auto first = cell.find_first_not_of(' ');
    if (first == cell.npos) continue;
    cells.push_back(cell.substr(first, cell.find_last_not_of(' ') - first + 1));
  }
  return cells;
}

std::vector<Row> table(const std::string& name) {
  std::ifstream in(faultline::test::source_dir() / "docs/who-may-what.md");
  std::string line;
  while (std::getline(in, line) && line != "<!-- table: " + name + " -->") {
  }
  std::getline(in, line);
  const std::vector<std::string> head = cells_of(line);
  std::getline(in, line);  // |---|
  std::vector<Row> rows;
  while (std::getline(in, line) && line.starts_with("|")) {
    const std::vector<std::string> cells = cells_of(line);
    EXPECT_EQ(cells.size(), head.size()) << line;
    Row row{.door = cells.at(0), .cells = {}};
    for (std::size_t i = 1; i < cells.size(); ++i) row.cells[head.at(i)] = cells[i];
    rows.push_back(std::move(row));
  }
  return rows;
}

// Namespace A is shop, B is bank.
boost::asio::awaitable<Result<>> may(http::Identity who, std::string verb,
                                     std::set<std::string> namespaces) {
  const std::map<std::string, std::string> rights{{"jane", "shop"}, {"joe", "bank"}};
  if (who.user == "admin") co_return Result<>{};
  const auto own = rights.find(who.user);
  for (const std::string& space : namespaces)
    if (own == rights.end() || own->second != space)
      co_return fail(Errc::kDenied, who.user + " may not " + verb + " in " + space);
  co_return Result<>{};
}

class WhoMayWhat : public testing::Test {
 protected:
  WhoMayWhat() {
    auto service =
        Service::open(loop_.get_executor(), clock_,
                      {.store_path = dir_.file("store.db"),
                       .times = {.lease = milliseconds(5000), .answer = milliseconds(5000)}});
    EXPECT_TRUE(service);
    service_ = *service;
    service_->authority(may, [] { return Leadership{}; });
    server_ = std::make_unique<http::Server>(loop_.get_executor(),
                                             http::ServerOptions{.port = 0, .max_body = 16 << 20});
    server_->authenticator(
        [](const http::Request& request) -> boost::asio::awaitable<Result<http::Identity>> {
          const std::string token = http::bearer(request);
          http::Identity who;
          if (token == "agent-token") who.role = "agent";
          for (const char* person : {"robot", "jane", "joe", "admin"})
            if (token == std::string(person) + "-token") {
              who.role = "person";
              who.user = person;
            }
          co_return who;
        });
    service_->add_routes(*server_);
    EXPECT_TRUE(server_->start());
    service_->start();
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~WhoMayWhat() override {
    loop_.stop();
    thread_.join();
    service_->close();  // its workers post to the loop
    service_.reset();
    server_.reset();
  }

  [[nodiscard]] http::ClientOptions client(const std::string& token) const {
    return {.base_url = "http://127.0.0.1:" + std::to_string(server_->port()),
            .bearer_token = token};
  }
  Result<http::ClientResponse> call(const std::string& method, const std::string& target,
                                    const std::string& body, const std::string& token,
                                    milliseconds limit = seconds(10)) const {
    return http::request_blocking(client(token), method, target, body, limit);
  }
  static std::string token_of(const std::string& actor) {
    const std::map<std::string, std::string> tokens{{"nobody", ""},
                                                    {"no rights", "robot-token"},
                                                    {"user of A", "jane-token"},
                                                    {"user of B", "joe-token"},
                                                    {"agent", "agent-token"},
                                                    {"admin", "admin-token"}};
    return tokens.at(actor);
  }
  // What the document calls the answer; `expected` where it cannot be told from it.
  std::string word(const std::string& door, const std::string& actor,
                   const std::string& expected) const {
    const auto blank = door.find(' ');
    const std::string method = door.substr(0, blank);
    std::string target = door.substr(blank + 1);
    if (const auto at = target.find("{run}"); at != target.npos) target.replace(at, 5, run_);
    if (const auto at = target.find("{day}"); at != target.npos) target.replace(at, 5, day_);
    if (target.ends_with("namespace=A")) target.replace(target.size() - 1, 1, "shop");
    std::string body;
    if (target.starts_with("/api/v1/experiments?")) body = api::to_yaml(experiment(kLong));
    if (target.ends_with("/sync"))
      body = api::to_json_text(api::SyncRequest{.instance = "x", .waitSeconds = 0});
    if (target.starts_with("/api/v1/gamedays?")) body = kDay;
    if (target.ends_with("/entries"))
      body = R"({"kind": "note", "key": "0123456789", "text": "hello"})";
    if (method == "GET") body.clear();
    // A stream without an end: whoever may see it waits.
    const bool endless = target == "/api/v1/events";
    const auto answer = call(method, target, body, token_of(actor),
                             endless ? milliseconds(1500) : milliseconds(10'000));
    if (!answer) return endless ? "may" : answer.error().message;
    if (answer->status == 401 || answer->status == 403) return std::to_string(answer->status);
    if (!expected.starts_with("sees ")) return "may";
    const auto list = boost::json::parse(answer->body);
    std::size_t seen = 0;
    for (const auto& one : list.as_array())
      seen += target == "/api/v1/nodes" ? one.at("pods").as_array().size() : 1;
    return "sees " + std::to_string(seen);
  }
  [[nodiscard]] std::string state() const {
    const auto answer = call("GET", "/api/v1/experiments/" + run_, "", "admin-token");
    return answer ? std::string(boost::json::parse(answer->body).at("state").as_string())
                  : answer.error().message;
  }
  bool becomes(const std::string& wanted) const {
    for (int i = 0; i < 1000 && state() != wanted; ++i)
      std::this_thread::sleep_for(milliseconds(10));
    return state() == wanted;
  }

  static constexpr const char* kLong = "  phases: {baseline: 0s, fault: 60s, recovery: 1s}\n";
  TempDir dir_;
  SystemClock clock_;
  boost::asio::io_context loop_{1};
  std::shared_ptr<Service> service_;
  std::unique_ptr<http::Server> server_;
  std::thread thread_;
  static constexpr const char* kDay =
      "apiVersion: faultline.dev/v1alpha1\nkind: GameDay\nmetadata: {name: pay}\nspec:\n"
      "  title: Payments\n  preChecks: []\n  steps:\n  - name: slow\n    experiment: {spec: "
      "{target: {selector: {namespaces: [shop]}}}}\n";
  std::string run_, day_;
};

TEST_F(WhoMayWhat, EveryDoorAnswersEveryActorAsTheDocumentSays) {
  const AgentDouble agent(client("agent-token"), "n1");
  for (int i = 0; i < 500 && run_.empty(); ++i) {
    const auto started = call("POST", "/api/v1/experiments?namespace=shop",
                              api::to_yaml(experiment(kLong)), "jane-token");
    ASSERT_TRUE(started);
    if (started->status == 201)
      run_ = std::string(boost::json::parse(started->body).at("run").as_string());
    else
      std::this_thread::sleep_for(milliseconds(20));  // the agent has not come yet
  }
  ASSERT_FALSE(run_.empty());
  ASSERT_TRUE(becomes("Injecting")) << state();
  const auto made = call("POST", "/api/v1/gamedays?namespace=shop", kDay, "jane-token");
  ASSERT_TRUE(made);
  ASSERT_EQ(made->status, 201) << made->body;
  day_ = std::string(boost::json::parse(made->body).at("day").as_string());
  const std::vector<Row> rows = table("http");
  ASSERT_GE(rows.size(), 16U) << "the document has lost its table";

  // Denials first: while the run goes on, and so that it is seen to go on.
  const auto go = [&](bool permitted) {
    for (const Row& row : rows)
      for (const auto& [actor, cell] : row.cells) {
        if ((cell == "may") != permitted) continue;
        EXPECT_EQ(word(row.door, actor, cell), cell) << row.door << " as " << actor;
      }
  };
  go(false);
  EXPECT_EQ(state(), "Injecting") << "one who may not has changed it";

  const auto stopped =
      call("POST", "/api/v1/experiments/" + run_ + "/stop?now=true", "", "jane-token");
  ASSERT_TRUE(stopped);
  ASSERT_TRUE(becomes("Aborted")) << state();
  go(true);
}

TEST_F(WhoMayWhat, AQueryOfTheMonitoringNeedsItsOwnRight) {
  const AgentDouble agent(client("agent-token"), "n1");
  const std::string target = "/api/v1/experiments?dryRun=true&namespace=shop";
  const std::string plain = api::to_yaml(experiment(kLong));
  const auto plan = [&](const std::string& text, const std::string& token) {
    return call("POST", target, text, token);
  };
  for (int i = 0; i < 500 && plan(plain, "jane-token")->status != 200; ++i)
    std::this_thread::sleep_for(milliseconds(20));  // the agent has not come yet
  ASSERT_EQ(plan(plain, "jane-token")->status, 200);
  for (const char* query : {"  abortWhen: [{promql: up, below: 1}]\n",
                            "  expect: {signals: [{promql: up, equals: request.rate}]}\n"}) {
    const std::string text = api::to_yaml(experiment(std::string(kLong) + query));
    const auto refused = plan(text, "jane-token");
    EXPECT_EQ(refused->status, 403) << query;
    EXPECT_THAT(refused->body, HasSubstr("the metrics of every namespace"));
    EXPECT_THAT(refused->body, HasSubstr("may not query"));
    // Who has the right gets as far as this controller's lack of a Prometheus.
    EXPECT_EQ(plan(text, "admin-token")->status, 422);
  }
}

TEST_F(WhoMayWhat, ForAListOfPodsRightsAreAskedInSoManyNamespaces) {
  std::vector<api::PodRef> pods;
  for (int i = 0; i < 100; ++i) pods.push_back(pod("n" + std::to_string(i), "p", "", {}));
  pods.push_back(pod("shop", "payments", "", {}));
  const api::SyncRequest hello{.instance = "x", .info = node_info("n1"), .pods = pods};
  ASSERT_EQ(call("POST", "/api/v1/nodes/n1/sync", api::to_json_text(hello), "agent-token")->status,
            200);
  const auto refused = call("GET", "/api/v1/nodes", "", "jane-token");
  EXPECT_EQ(refused->status, 400);
  EXPECT_THAT(refused->body, HasSubstr("say which with namespace="));
  const auto pods_seen = [&](const std::string& query, const std::string& token) {
    const auto answer = call("GET", "/api/v1/nodes" + query, "", token);
    EXPECT_EQ(answer->status, 200) << answer->body;
    return boost::json::parse(answer->body).as_array().at(0).at("pods").as_array().size();
  };
  EXPECT_EQ(pods_seen("?namespace=shop", "jane-token"), 1U);
  EXPECT_EQ(pods_seen("?namespace=n1", "jane-token"), 0U);
  EXPECT_EQ(pods_seen("?namespace=n1", "admin-token"), 1U);
  EXPECT_EQ(pods_seen("", "admin-token"), 101U);
}

TEST_F(WhoMayWhat, MetricsNameNobody) {
  const AgentDouble agent(client("agent-token"), "n1");
  const auto metrics = call("GET", "/metrics", "", "");
  ASSERT_TRUE(metrics);
  for (const char* name : {"shop", "payments", "jane", "n1\""})
    EXPECT_THAT(metrics->body, Not(HasSubstr(name)));
}

}  // namespace
}  // namespace faultline::controller::test
