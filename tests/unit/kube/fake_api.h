// SPDX-License-Identifier: Apache-2.0
// A fake API server for what a real one does not do on demand: exact bytes, broken answers, 429. It
// answers each connection once, on a thread of its own; tests/cluster/kube has the real one.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "kube/config.h"

namespace faultline::kube {

class FakeApi {
 public:
  // Gets the request ("GET /x HTTP/1.1\r\n...") and its number from 1; returns all bytes of the
  // answer. The connection is then closed.
  using Answerer = std::function<std::string(const std::string& request, int number)>;

  explicit FakeApi(Answerer answer) : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    listen(listener_, 16);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, answer = std::move(answer)] {
      for (int fd; (fd = accept(listener_, nullptr, nullptr)) >= 0; close(fd)) {
        const std::string request = read(fd);
        int number = 0;
        {
          const std::lock_guard lock(mutex_);
          requests_.push_back(request);
          number = static_cast<int>(requests_.size());
        }
        const std::string bytes = answer(request, number);
        ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      }
    });
  }
  ~FakeApi() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  FakeApi(const FakeApi&) = delete;
  FakeApi& operator=(const FakeApi&) = delete;

  [[nodiscard]] std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  // "GET /api/v1/pods", of each request.
  [[nodiscard]] std::vector<std::string> targets() const {
    std::vector<std::string> lines = requests();
    for (std::string& line : lines) line.erase(line.find(" HTTP/"));
    return lines;
  }
  [[nodiscard]] Config config(CredentialSources sources = {}) const {
    return {"http://127.0.0.1:" + std::to_string(port_), "default", "a test",
            make_credentials(std::move(sources))};
  }

  static std::string answer(int status, const std::string& body, const std::string& headers = "") {
    return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: application/json\r\n" +
           headers + "Connection: close\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
  }
  // A watch: the lines, and either a proper end or a connection that breaks.
  static std::string stream(const std::string& lines, bool whole = true) {
    char size[16];
    std::snprintf(size, sizeof size, "%zx", lines.size());
    return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: "
           "chunked\r\n\r\n" +
           (lines.empty() ? "" : std::string(size) + "\r\n" + lines + "\r\n") +
           (whole ? "0\r\n\r\n" : "");
  }

 private:
  static std::string read(int fd) {
    std::string got;
    char bytes[4096];
    for (std::size_t whole = 0; whole == 0 || got.size() < whole;) {
      const ssize_t n = recv(fd, bytes, sizeof bytes, 0);
      if (n <= 0) break;
      got.append(bytes, static_cast<std::size_t>(n));
      const auto head = got.find("\r\n\r\n");
      if (head == got.npos) continue;
      const auto length = got.find("Content-Length: ");
      whole = head + 4 + (length < head ? std::stoul(got.substr(length + 16)) : 0);
    }
    return got;
  }

  int listener_;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

}  // namespace faultline::kube
