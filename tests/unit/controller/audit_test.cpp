// SPDX-License-Identifier: Apache-2.0
// The audit log as a file, with a disk that is full (RLIMIT_FSIZE), and as a pipe.
#include "controller/audit.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "fixtures.h"

namespace faultline::controller::test {
namespace {

using testing::HasSubstr;

std::vector<boost::json::value> lines_of(const std::string& path) {
  std::ifstream in(path);
  std::vector<boost::json::value> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(boost::json::parse(line));
  return lines;
}

std::string run_of(const boost::json::value& line) {
  return std::string(line.at("run").as_string());
}

AuditEntry start(const std::string& run) {
  return {.via = "http",
          .verb = "start",
          .user = "jane",
          .groups = {"sre"},
          .from = "10.0.0.1:4711",
          .ns = "shop",
          .experiment = "slow",
          .run = run,
          .namespaces = {"shop", "bank"},
          .allowed = true,
          .state = "Pending"};
}

// Files of this process may not grow beyond `bytes` while it lives.
struct DiskOf {
  explicit DiskOf(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    const rlimit now{bytes, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~DiskOf() { setrlimit(RLIMIT_FSIZE, &before); }
  DiskOf(const DiskOf&) = delete;
  DiskOf& operator=(const DiskOf&) = delete;
  rlimit before{};
};

class AuditLogTest : public testing::Test {
 protected:
  std::unique_ptr<AuditLog> open() {
    auto log = AuditLog::open(path_, clock_, "c1");
    EXPECT_TRUE(log) << log.error().message;
    return std::move(*log);
  }
  TempDir dir_;
  std::string path_ = dir_.file("audit.log");
  SystemClock clock_;
};

TEST_F(AuditLogTest, ALineSaysWhoWhatWhenFromWhereAndWhatWasDecided) {
  const auto log = open();
  const auto before = std::chrono::floor<std::chrono::microseconds>(clock_.utc());
  ASSERT_TRUE(log->write(start("r1")));
  const auto lines = lines_of(path_);
  ASSERT_EQ(lines.size(), 1U);
  boost::json::object line = lines[0].as_object();
  const auto at = api::Timestamp::parse(std::string(line.at("time").as_string()));
  ASSERT_TRUE(at);
  EXPECT_GE(at->value, before);
  EXPECT_LE(at->value, clock_.utc());
  line.erase("time");
  EXPECT_EQ(boost::json::value(line), boost::json::parse(R"({"audit": true, "controller": "c1",
      "via": "http", "verb": "start", "user": "jane", "groups": ["sre"], "from": "10.0.0.1:4711",
      "experiment": "shop/slow", "run": "r1", "namespaces": ["bank", "shop"],
      "decision": "allowed", "state": "Pending"})"));
  AuditEntry denied = start("");
  denied.allowed = false;
  denied.reason = "not \"here\"\nnor there";
  ASSERT_TRUE(log->write(denied));
  EXPECT_EQ(lines_of(path_).at(1).at("decision"), "denied");
  EXPECT_EQ(lines_of(path_).at(1).at("reason"), "not \"here\"\nnor there");
}

TEST_F(AuditLogTest, OnlyItsOwnerReadsItAndWhatIsThereStays) {
  ::umask(0);
  (void)open()->write(start("r1"));
  (void)open()->write(start("r2"));
  ::umask(022);
  struct stat file {};
  ASSERT_EQ(::stat(path_.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600U);
  EXPECT_EQ(lines_of(path_).size(), 2U);
  std::filesystem::create_symlink(path_, dir_.file("link"));
  const auto link = AuditLog::open(dir_.file("link"), clock_, "");
  ASSERT_FALSE(link);
  EXPECT_THAT(link.error().message, HasSubstr("cannot open the audit log"));
  EXPECT_FALSE(AuditLog::open(dir_.file("none/audit.log"), clock_, ""));
}

TEST_F(AuditLogTest, OfAFullDiskNoLineIsLostNorBroken) {
  const auto log = open();
  ASSERT_TRUE(log->write(start("r1")));
  const auto whole = std::filesystem::file_size(path_);
  {
    const DiskOf full(whole + 20);  // in the middle of a line
    const auto written = log->write(start("r2"));
    ASSERT_FALSE(written);
    EXPECT_THAT(written.error().message, HasSubstr("the audit log cannot be written"));
    EXPECT_FALSE(log->works());
    EXPECT_FALSE(log->write(start("r3")));
    EXPECT_FALSE(log->flush());
    EXPECT_EQ(std::filesystem::file_size(path_), whole + 20);
  }
  ASSERT_TRUE(log->flush());
  EXPECT_TRUE(log->works());
  const auto lines = lines_of(path_);
  ASSERT_EQ(lines.size(), 3U);
  for (std::size_t i = 0; i < lines.size(); ++i)
    EXPECT_EQ(run_of(lines[i]), "r" + std::to_string(i + 1));
}

TEST_F(AuditLogTest, WhatIsTooMuchToKeepIsCounted) {
  const auto log = open();
  {
    const DiskOf full(0);
    for (std::size_t i = 0; i < AuditLog::kMostKept + 7; ++i)
      EXPECT_FALSE(log->write(start(std::to_string(i))));
  }
  EXPECT_EQ(log->lost(), 7U);
  ASSERT_TRUE(log->flush());
  const auto lines = lines_of(path_);
  ASSERT_EQ(lines.size(), AuditLog::kMostKept + 1);
  EXPECT_EQ(run_of(lines[AuditLog::kMostKept - 1]), std::to_string(AuditLog::kMostKept - 1));
  EXPECT_EQ(lines.back().at("reason"), "7 lines before this one could not be kept");
}

TEST_F(AuditLogTest, AFileThatWasMovedAwayIsMadeAnew) {
  const auto log = open();
  ASSERT_TRUE(log->write(start("r1")));
  std::filesystem::rename(path_, path_ + ".1");
  ASSERT_TRUE(log->write(start("r2")));
  ASSERT_TRUE(log->reopen());
  ASSERT_TRUE(log->write(start("r3")));
  EXPECT_EQ(lines_of(path_ + ".1").size(), 2U);
  EXPECT_EQ(lines_of(path_).size(), 1U);
  // One that cannot be made leaves the old one in use.
  std::filesystem::rename(path_, path_ + ".2");
  std::filesystem::create_directory(path_);
  EXPECT_FALSE(log->reopen());
  EXPECT_TRUE(log->write(start("r4")));
  EXPECT_EQ(lines_of(path_ + ".2").size(), 2U);
}

TEST_F(AuditLogTest, AReaderThatStandsStillHoldsNobodyUp) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::fflush(stdout);
  const int before = ::dup(STDOUT_FILENO);
  ::dup2(ends[1], STDOUT_FILENO);
  auto log = AuditLog::open("-", clock_, "");
  int written = 0;
  AuditEntry entry = start("r");
  entry.reason = std::string(900, 'x');
  while (written < 1000 && (*log)->write(entry)) ++written;
  std::string read(4 << 20, '\0');
  const auto take = [&](std::size_t from) {
    const ssize_t n = ::read(ends[0], read.data() + from, read.size() - from);
    return n > 0 ? static_cast<std::size_t>(n) : 0U;
  };
  std::size_t size = take(0);
  const auto again = (*log)->flush();
  size += take(size);
  log->reset();
  ::dup2(before, STDOUT_FILENO);
  for (const int fd : {before, ends[0], ends[1]}) ::close(fd);
  EXPECT_TRUE(again);
  EXPECT_GT(written, 10);
  EXPECT_LT(written, 1000) << "a pipe of 64 KiB";
  std::istringstream in(read.substr(0, size));
  int lines = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("[")) continue;  // the log of a test program is there too
    EXPECT_EQ(boost::json::parse(line).at("audit"), true);
    ++lines;
  }
  EXPECT_EQ(lines, written + 1);
}

TEST(AuditLine, IsShortWhateverPeopleWrite) {
  AuditEntry entry = start("r1");
  entry.reason = std::string(100'000, '\1');
  entry.user = std::string(100'000, 'u');
  for (int i = 0; i < 1000; ++i) {
    entry.groups.push_back("group-" + std::to_string(i) + std::string(500, 'g'));
    entry.namespaces.insert("namespace-" + std::to_string(i));
  }
  const std::string line = audit_line(entry, "c1");
  EXPECT_LE(line.size(), kLongestAuditLine);
  const auto read = boost::json::parse(line);
  EXPECT_EQ(read.at("groups").as_array().size(), 21U);
  EXPECT_EQ(read.at("decision"), "allowed");
  entry = start("r1");
  for (int i = 0; i < 1000; ++i) entry.reason += "\xc3\xa4";  // ä
  EXPECT_THAT(std::string(boost::json::parse(audit_line(entry, "")).at("reason").as_string()),
              testing::EndsWith("\xc3\xa4..."));
}

}  // namespace
}  // namespace faultline::controller::test
