// SPDX-License-Identifier: Apache-2.0
// PostgreSQL, Redis and MariaDB with their own clients where these have a stopwatch.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "testbed/shell.h"
#include "tests/protocols/ground.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace fs = std::filesystem;

namespace {

// A folder of the ground that belongs to `user`.
std::string folder_of(const Ground& ground, const std::string& user) {
  std::string folder = ground.file(user);
  fs::create_directory(folder);
  must({"chown", user, folder});
  return folder;
}

std::vector<std::string> as(const std::string& user, std::vector<std::string> words) {
  words.insert(words.begin(), {"setpriv", "--reuid", user, "--regid", user, "--clear-groups"});
  return words;
}

class Postgres : public Protocols {
 protected:
  static constexpr std::uint16_t kPort = 5432;
  static constexpr int kConnections = 4, kTransactions = 30;

  void SetUp() override {
    Protocols::SetUp();
    if (IsSkipped() || started()) return;
    Ground& g = ground();
    const fs::path programs = fs::path("/usr/lib/postgresql") / version() / "bin";
    const std::string folder = folder_of(g, "postgres"), data = folder + "/data";
    must(as("postgres", {programs / "initdb", "-D", data, "-A", "trust", "-N", "--no-locale"}));
    std::ofstream(data + "/pg_hba.conf") << "host all all all trust\n";
    must(as("postgres", {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                         "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", data + "/server.key",
                         "-out", data + "/server.crt", "-subj", "/CN=s", "-days", "2"}));
    g.serve(
        as("postgres", {programs / "postgres", "-D", data, "-c", "listen_addresses=*", "-c",
                        "unix_socket_directories=" + folder, "-c", "fsync=off", "-c", "ssl=on"}),
        kPort);
    static_cast<void>(psql("CREATE TABLE lines (line text)", "require"));
    std::ofstream lines(g.file("lines"));
    for (int i = 0; i < 20'000; ++i) lines << "line " << i << "\n";
    std::ofstream(g.file("one.sql")) << "\\set slow random(1, 20)\n\\if :slow = 1\n"
                                        "SELECT pg_sleep(0.16);\n\\else\n"
                                        "SELECT pg_sleep(0.04);\n\\endif\n";
    std::ofstream(g.file("four.sql")) << "\\startpipeline\nSELECT pg_sleep(0.005);\n"
                                         "SELECT pg_sleep(0.005);\nSELECT pg_sleep(0.005);\n"
                                         "SELECT pg_sleep(0.005);\n\\endpipeline\n";
  }
  static std::string version() {
    for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql"))
      return entry.path().filename();
    throw std::runtime_error("no PostgreSQL");
  }
  // A connection for one statement. `ssl`: "disable", "require".
  static std::string psql(const std::string& statement, const std::string& ssl) {
    return ground().ask({"psql", "-X", "-c", statement,
                         "host=" + ground().server().ip4() + " user=postgres sslmode=" + ssl});
  }
  // Statements count, as they do for the server; logging in does not. No TLS: the port of a server
  // that has it would be asked for it first.
  Truth pgbench(const std::string& script, const std::string& protocol, int queries) {
    Ground& g = ground();
    for (const auto& entry : fs::directory_iterator(g.folder()))
      if (entry.path().filename().string().starts_with("pgbench.")) fs::remove(entry);
    static_cast<void>(g.ask({"pgbench", "-n", "-f", g.file(script), "-M", protocol, "-c",
                             std::to_string(kConnections), "-t", std::to_string(kTransactions),
                             "-l", "--log-prefix=" + g.file("pgbench"),
                             "host=" + g.server().ip4() + " user=postgres sslmode=disable"}));
    std::vector<double> seconds;
    for (const auto& entry : fs::directory_iterator(g.folder())) {
      if (!entry.path().filename().string().starts_with("pgbench.")) continue;
      std::ifstream in(entry.path());
      double client = 0, number = 0, us = 0;
      for (std::string line; std::getline(in, line);) {
        std::istringstream words(line);
        if (words >> client >> number >> us) seconds.push_back(us / 1e6);
      }
    }
    Truth truth = queries == 1 ? Truth::of(seconds, seconds, seconds) : Truth();
    truth.count = static_cast<double>(seconds.size()) * queries;
    return truth;
  }
};

TEST_F(Postgres, Simple) {
  check({"PostgreSQL, pgbench simple", kPort, [&] { return pgbench("one.sql", "simple", 1); }});
}
TEST_F(Postgres, Extended) {
  check({"PostgreSQL, pgbench extended", kPort, [&] { return pgbench("one.sql", "extended", 1); }});
}
TEST_F(Postgres, Pipelined) {
  check({"PostgreSQL, pgbench, four pipelined", kPort,
         [&] { return pgbench("four.sql", "extended", 4); }});
}

TEST_F(Postgres, Copy) {
  check({"PostgreSQL, COPY from the client", kPort, [&] {
           Truth truth;
           for (; truth.count < 10; ++truth.count)
             static_cast<void>(
                 psql("\\copy lines from '" + ground().file("lines") + "'", "disable"));
           return truth;
         }});
}
// Logging in is a request, since nothing in TLS tells it from others. The end is none.
TEST_F(Postgres, OverTls) {
  check({"PostgreSQL over TLS, a connection each", kPort, [&] {
           Truth truth;
           for (; truth.count < 40; truth.count += 2)
             static_cast<void>(psql("SELECT pg_sleep(0.01)", "require"));
           return truth;
         }});
}
// psql cancels its query, by a connection of its own, when it is interrupted.
TEST_F(Postgres, Cancelled) {
  check({"PostgreSQL, queries that are cancelled", kPort, [&] {
           Truth truth;
           for (; truth.count < 5; ++truth.count)
             static_cast<void>(ground().client().exec(
                 {"timeout", "-s", "INT", "0.9", "psql", "-X", "-c", "SELECT pg_sleep(9)",
                  "host=" + ground().server().ip4() + " user=postgres sslmode=disable"}));
           return truth;
         }});
}

class Redis : public Protocols {
 protected:
  static constexpr std::uint16_t kPort = 6379;

  void SetUp() override {
    Protocols::SetUp();
    if (IsSkipped() || started()) return;
    ground().serve(
        {"redis-server", "--port", std::to_string(kPort), "--save", "", "--appendonly", "no",
         "--protected-mode", "no", "--enable-debug-command", "yes", "--dir", ground().folder()},
        kPort);
  }
  // The question itself, over loopback, counts at the next one.
  static double processed() {
    static double questions = 0;
    const std::string info =
        ground().at_server({"redis-cli", "-p", std::to_string(kPort), "info", "stats"});
    std::smatch found;
    static const std::regex kProcessed("total_commands_processed:([0-9]+)");
    if (!std::regex_search(info, found, kProcessed)) throw std::runtime_error("redis: " + info);
    return std::stod(found[1]) - questions++;
  }
  void ask(const std::string& name, const std::string& manner) {
    check({name, kPort,
           [=] {
             return truth_of_json(
                 ground().ask(Ground::python("redis_client.py", {manner, ground().server().ip4(),
                                                                 std::to_string(kPort), "1.5"})));
           },
           processed});
  }
  // redis-benchmark asks for two settings before it begins, on a connection of its own.
  void benchmark(const std::string& name, int count, const std::vector<std::string>& options) {
    check({name, kPort,
           [=] {
             std::vector<std::string> words{
                 "redis-benchmark",     "-h", ground().server().ip4(), "-p",
                 std::to_string(kPort), "-n", std::to_string(count),   "--csv"};
             words.insert(words.end(), options.begin(), options.end());
             const std::string output = ground().ask(words);
             // "name","rps","avg","min","p50","p95","p99","max": milliseconds, in the last line.
             std::vector<double> numbers;
             static const std::regex kNumber("\"([0-9.]+)\"");
             for (std::sregex_iterator i(output.begin(), output.end(), kNumber), end; i != end; ++i)
               numbers.push_back(std::stod((*i)[1]));
             if (numbers.size() < 7) throw std::runtime_error("redis-benchmark: " + output);
             const double* last = &numbers[numbers.size() - 7];
             Truth truth;
             truth.count = count + 2;
             truth.latency_p50 = truth.duration_p50 = {last[3] / 1e3, last[3] / 1e3};
             truth.latency_p99 = truth.duration_p99 = {last[5] / 1e3, last[5] / 1e3};
             return truth;
           },
           processed});
  }
};

TEST_F(Redis, Commands) { ask("Redis, one command at a time", "commands"); }
TEST_F(Redis, NewConnections) { ask("Redis, a connection each", "new"); }
TEST_F(Redis, PubSub) { ask("Redis, pub/sub", "publish"); }
TEST_F(Redis, Benchmark) {
  benchmark("Redis, redis-benchmark", 400, {"-c", "20", "DEBUG", "SLEEP", "0.002"});
}
TEST_F(Redis, BenchmarkPipelined) {
  benchmark("Redis, redis-benchmark -P 16", 4800, {"-c", "4", "-P", "16", "-t", "get"});
}

class MariaDb : public Protocols {
 protected:
  static constexpr std::uint16_t kPort = 3306;

  void SetUp() override {
    Protocols::SetUp();
    if (IsSkipped() || started()) return;
    Ground& g = ground();
    fs::create_directory(g.file("mariadb"));
    // No system tables: nobody logs in with a password, and nothing is to be granted.
    g.serve({"mariadbd", "--no-defaults", "--user=root", "--datadir=" + g.file("mariadb"),
             "--skip-grant-tables", "--skip-name-resolve", "--bind-address=0.0.0.0",
             "--port=" + std::to_string(kPort), "--socket=" + g.file("mariadb.socket"),
             "--pid-file=" + g.file("mariadb.pid")},
            kPort);
  }
  void ask(const std::string& name, const std::string& manner) {
    check({name, kPort, [=] {
             return truth_of_json(
                 ground().ask(Ground::python("mariadb_client.py", {manner, ground().server().ip4(),
                                                                   std::to_string(kPort), "1.5"})));
           }});
  }
};

TEST_F(MariaDb, Queries) { ask("MariaDB", "kept"); }
TEST_F(MariaDb, NewConnections) { ask("MariaDB, a connection for two queries", "new"); }

}  // namespace
}  // namespace faultline::test
