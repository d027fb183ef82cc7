// SPDX-License-Identifier: Apache-2.0
// A controller whose state folder is on a disk that is full, and that is killed there.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "http/client.h"
#include "tests/e2e/harness.h"

namespace faultline::test {
namespace {

namespace json = boost::json;

constexpr const char* kDay = R"(
apiVersion: faultline.dev/v1alpha1
kind: GameDay
metadata: {name: disk}
spec:
  title: The controller's disk is full
  preChecks: []
  steps:
    - {name: first, waitFor: {person: Well?}}
    - {name: second, note: Nothing may begin after the abort}
)";

// A file system in memory of a few MiB, which is gone with this process.
class SmallDisk {
 public:
  explicit SmallDisk(std::string path) : path_(std::move(path)) {
    std::filesystem::create_directory(path_);
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("disk", path_.c_str(), "tmpfs", 0, "size=16m") != 0)
      throw std::runtime_error("cannot mount " + path_);
  }
  ~SmallDisk() { umount2(path_.c_str(), MNT_DETACH); }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  // To the last byte.
  void fill() const {
    const int fd = open(file().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    for (const std::string& piece : {std::string(1 << 16, 'x'), std::string(1, 'x')})
      while (write(fd, piece.data(), piece.size()) > 0) {
      }
    close(fd);
  }
  void empty() const { unlink(file().c_str()); }

 private:
  [[nodiscard]] std::string file() const { return path_ + "/of-others"; }
  std::string path_;
};

class FullDisk : public testing::Test {
 protected:
  void start() {
    std::error_code ignored;
    std::filesystem::remove(port_file_, ignored);
    controller_.reset();
    controller_.emplace(std::vector<std::string>{"faultline-controller", "--listen", "127.0.0.1:0",
                                                 "--state-dir", state_, "--port-file", port_file_},
                        folder_, "controller" + std::to_string(++count_), folder_.file("tmp"));
    ASSERT_TRUE(comes_true([&] { return content(port_file_).ends_with("\n"); }, 10s))
        << controller_->err();
  }
  void kill() {
    controller_->signal(SIGKILL);
    controller_->wait();
  }
  [[nodiscard]] Result<http::ClientResponse> ask(const std::string& method,
                                                 const std::string& target,
                                                 const std::string& body = "") const {
    std::string port = content(port_file_), token = content(state_ + "/person.token");
    port.pop_back();
    while (token.ends_with('\n')) token.pop_back();
    const http::ClientOptions options{.base_url = "http://127.0.0.1:" + port,
                                      .bearer_token = token};
    return http::request_blocking(options, method, target, body, 30s);
  }
  [[nodiscard]] json::value look(const std::string& day) const {
    const auto answer = ask("GET", "/api/v1/gamedays/" + day);
    return answer && answer->status == 200 ? json::parse(answer->body) : json::value();
  }
  [[nodiscard]] std::string state_of(const std::string& day) const {
    const auto view = look(day);
    return view.is_object() ? std::string(view.at("state").as_string()) : "";
  }

  Folder folder_;
  std::string state_ = folder_.file("state"), port_file_ = folder_.file("port");
  SmallDisk disk_{state_};
  std::optional<Program> controller_;
  int count_ = 0;
};

TEST_F(FullDisk, AnOrderToAbortAGameDayOutlivesTheControllerThatCouldNotStoreIt) {
  std::filesystem::create_directory(folder_.file("tmp"));
  start();
  const auto made = ask("POST", "/api/v1/gamedays?as=jane", kDay);
  ASSERT_TRUE(made && made->status == 201) << (made ? made->body : made.error().message);
  const std::string day(json::parse(made->body).at("day").as_string());
  const std::string entries = "/api/v1/gamedays/" + day + "/entries";
  const auto started = ask("POST", entries, R"({"kind": "started", "key": "begin-the-day"})");
  ASSERT_TRUE(started && started->status == 201) << started->body;

  disk_.fill();
  // What SQLite has of room in files that are there already.
  for (int i = 0;; ++i) {
    ASSERT_LT(i, 2000) << "the disk is never full";
    const auto note =
        ask("POST", entries,
            R"({"kind": "note", "key": "note-number-)" + std::to_string(i) + R"(", "as": "p)" +
                std::to_string(i % 40) + R"(", "text": ")" + std::string(4000, 'x') + "\"}");
    ASSERT_TRUE(note) << note.error().message;
    if (note->status == 503) break;
    if (note->status == 429) std::this_thread::sleep_for(100ms);
  }
  const std::string word = R"({"kind": "aborted", "key": "end-the-day", "text": "enough"})";
  const auto said = ask("POST", entries, word);
  ASSERT_TRUE(said) << said.error().message;
  EXPECT_EQ(said->status, 503) << said->body;
  kill();

  // The next one begins on the full disk, with the room that was kept for it.
  start();
  EXPECT_TRUE(comes_true([&] { return state_of(day) == "aborted"; }, 10s)) << look(day);
  const auto ready = ask("GET", "/readyz");
  ASSERT_TRUE(ready) << ready.error().message;
  EXPECT_EQ(ready->status, 503) << "it has no room for one restart more";
  EXPECT_NE(ready->body.find("that a restart would need"), std::string::npos) << ready->body;
  kill();

  disk_.empty();
  start();
  EXPECT_TRUE(comes_true([&] { return ask("GET", "/readyz")->status == 200; }, 10s));
  EXPECT_TRUE(comes_true([&] { return state_of(day) == "aborted"; }, 10s)) << look(day);
  const auto over = look(day);
  EXPECT_EQ(over.at("stateReason"), "enough") << over;
  EXPECT_TRUE(over.at("steps").at(1).at("outcome").is_null()) << over;
  const auto again = ask("POST", entries, word);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->status, 201) << "the same word again is the same entry: " << again->body;
}

}  // namespace
}  // namespace faultline::test
