// SPDX-License-Identifier: Apache-2.0
// Runs coroutines, keeps files. Shared by tests/unit/kube and tests/cluster/kube.
#pragma once

#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <thread>

namespace faultline::kube {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Runs `io` until `work` is done; throws what it throws.
template <class T>
T run(asio::io_context& io, asio::awaitable<T> work) {
  std::optional<T> result;
  std::exception_ptr failed;
  asio::co_spawn(io, std::move(work), [&](std::exception_ptr error, T value) {
    failed = error;
    result = std::move(value);
  });
  io.restart();
  while (!result && io.run_one() > 0) {
  }
  if (failed) std::rethrow_exception(failed);
  return std::move(result.value());
}

// Runs `io` until `done` or for `limit`; returns whether it was done.
inline bool run_until(asio::io_context& io, const std::function<bool()>& done, milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!done() && std::chrono::steady_clock::now() < end) {
    io.restart();
    if (io.run_one_for(milliseconds(20)) == 0)
      std::this_thread::sleep_for(milliseconds(1));  // nothing to wait for
  }
  return done();
}

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "faultline-kube-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  [[nodiscard]] std::string path(const std::string& name = "") const {
    return name.empty() ? path_ : path_ + "/" + name;
  }
  std::string write(const std::string& name, const std::string& text, bool program = false) const {
    std::ofstream(path(name), std::ios::binary) << text;
    if (program) std::filesystem::permissions(path(name), std::filesystem::perms::owner_all);
    return path(name);
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream in(path(name));
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  std::string path_;
};

}  // namespace faultline::kube
