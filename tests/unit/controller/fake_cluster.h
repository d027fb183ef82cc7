// SPDX-License-Identifier: Apache-2.0
// A fake API server that keeps objects: list, watch, get, create, merge patch, delete. Only for
// unit tests: it knows no schema, no roles and no webhooks; tests/cluster has the real one. A
// thread for each connection, each of which is answered once; a watch goes on until the test ends.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/kube/fake_api.h"

namespace faultline::controller::test {

class FakeCluster {
 public:
  using Object = boost::json::object;

  FakeCluster() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    listen(listener_, 64);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] {
      for (int fd; (fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;)
        connections_.emplace_back([this, fd] {
          serve(fd);
          close(fd);
        });
    });
  }
  ~FakeCluster() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    for (std::thread& connection : connections_) connection.join();
    close(listener_);
  }
  FakeCluster(const FakeCluster&) = delete;
  FakeCluster& operator=(const FakeCluster&) = delete;

  [[nodiscard]] kube::Config config() const {
    return {"http://127.0.0.1:" + std::to_string(port_), "default", "a test",
            kube::make_credentials({})};
  }

  // `plural` like "experiments". Written past every rule, as etcd would keep it.
  void put(const std::string& plural, Object object) {
    const std::lock_guard lock(mutex_);
    put_locked(plural, std::move(object));
  }
  void change(const std::string& plural, const std::string& ns, const std::string& name,
              const std::function<void(Object&)>& how) {
    const std::lock_guard lock(mutex_);
    Object object = objects_.at({plural, ns, name});
    how(object);
    put_locked(plural, std::move(object));
  }
  void remove(const std::string& plural, const std::string& ns, const std::string& name) {
    const std::lock_guard lock(mutex_);
    remove_locked({plural, ns, name});
  }
  // Empty: there is none.
  [[nodiscard]] Object get(const std::string& plural, const std::string& ns,
                           const std::string& name) const {
    const std::lock_guard lock(mutex_);
    const auto found = objects_.find({plural, ns, name});
    return found == objects_.end() ? Object{} : found->second;
  }
  [[nodiscard]] std::vector<Object> all(const std::string& plural) const {
    const std::lock_guard lock(mutex_);
    std::vector<Object> found;
    for (const auto& [key, object] : objects_)
      if (std::get<0>(key) == plural) found.push_back(object);
    return found;
  }
  // As a server that is overloaded or cut off. kTakes: what it is asked for is done, and whoever
  // asked hears nothing of it; kHangs: nothing is done until it answers again.
  enum class Mood { kAnswers, kTakes, kHangs };
  void mood(Mood mood) {
    const std::lock_guard lock(mutex_);
    mood_ = mood;
    changed_.notify_all();
  }
  // "PATCH /apis/...", of each request that changes something.
  [[nodiscard]] std::vector<std::string> writes() const {
    const std::lock_guard lock(mutex_);
    return writes_;
  }

 private:
  using Key = std::tuple<std::string, std::string, std::string>;  // plural, namespace, name
  struct Event {
    std::uint64_t version;
    std::string plural, line;
  };

  static std::string text(const Object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
  }
  static void merge(Object& into, const Object& patch) {
    for (const auto& [key, value] : patch) {
      if (value.is_null()) {
        into.erase(key);
      } else if (value.is_object()) {
        // Also where there was nothing: a null is never kept (RFC 7386).
        if (!into.contains(key) || !into[key].is_object()) into[key] = Object{};
        merge(into[key].get_object(), value.get_object());
      } else {
        into[key] = value;
      }
    }
  }
  void tell(const char* type, const std::string& plural, const Object& object) {
    events_.push_back({version_, plural,
                       boost::json::serialize(Object{{"type", type}, {"object", object}}) + "\n"});
    changed_.notify_all();
  }
  void put_locked(const std::string& plural, Object object) {
    Object& metadata = object["metadata"].as_object();
    const Key key{plural, text(metadata, "namespace"), text(metadata, "name")};
    metadata["resourceVersion"] = std::to_string(++version_);
    const bool there = objects_.contains(key);
    objects_[key] = object;
    tell(there ? "MODIFIED" : "ADDED", plural, object);
  }
  void remove_locked(const Key& key) {
    const auto found = objects_.find(key);
    if (found == objects_.end()) return;
    Object last = std::move(found->second);
    objects_.erase(found);
    last["metadata"].as_object()["resourceVersion"] = std::to_string(++version_);
    tell("DELETED", std::get<0>(key), last);
  }

  static std::string read(int fd) {
    std::string got;
    char bytes[65536];
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
  static void write(int fd, const std::string& bytes) {
    for (std::size_t done = 0; done < bytes.size();) {
      const ssize_t n = ::send(fd, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
      if (n <= 0) return;
      done += static_cast<std::size_t>(n);
    }
  }
  static std::string status(int code, const char* reason) {
    return kube::FakeApi::answer(
        code, boost::json::serialize(Object{
                  {"kind", "Status"}, {"code", code}, {"reason", reason}, {"message", reason}}));
  }

  void serve(int fd) {
    const std::string request = read(fd);
    if (request.empty()) return;
    const std::string method = request.substr(0, request.find(' '));
    std::string target = request.substr(method.size() + 1);
    target.erase(target.find(' '));
    const std::string body = request.substr(request.find("\r\n\r\n") + 4);
    const std::string query =
        target.find('?') == target.npos ? "" : target.substr(target.find('?'));
    std::vector<std::string> parts;
    for (std::size_t at = 1; at < target.size() - query.size();) {
      const std::size_t end = std::min(target.find('/', at), target.size() - query.size());
      parts.push_back(target.substr(at, end - at));
      at = end + 1;
    }
    // api/v1 or apis/GROUP/VERSION
    parts.erase(parts.begin(), parts.begin() + (parts[0] == "api" ? 2 : 3));
    std::string ns;
    if (parts.size() > 2 && parts[0] == "namespaces") {
      ns = parts[1];
      parts.erase(parts.begin(), parts.begin() + 2);
    }
    if (query.find("watch=true") != query.npos) return watch(fd, parts[0], query);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ending_ || mood_ != Mood::kHangs; });
    if (ending_) return;
    if (method != "GET") writes_.push_back(method + " " + target);
    const std::string said =
        answer(method, {parts[0], ns, parts.size() > 1 ? parts[1] : ""}, body, query);
    if (mood_ == Mood::kAnswers) write(fd, said);
  }

  // "app=web" of "?labelSelector=app%3Dweb&limit=20".
  static std::string selector_of(const std::string& query) {
    constexpr std::string_view kName = "labelSelector=";
    const auto at = query.find(kName);
    if (at == query.npos) return "";
    std::string text;
    for (std::size_t i = at + kName.size(); i < query.size() && query[i] != '&'; ++i)
      if (query[i] == '%' && i + 2 < query.size()) {
        text += static_cast<char>(std::stoi(query.substr(i + 1, 2), nullptr, 16));
        i += 2;
      } else {
        text += query[i];
      }
    return text;
  }
  // Only "key=value".
  static bool selected(const Object& object, const std::string& selector) {
    if (selector.empty()) return true;
    const auto equals = selector.find('=');
    const auto* labels = object.at("metadata").as_object().if_contains("labels");
    return labels != nullptr && labels->is_object() &&
           text(labels->get_object(), selector.substr(0, equals)) == selector.substr(equals + 1);
  }

  std::string answer(const std::string& method, const Key& key, const std::string& body,
                     const std::string& query) {
    const auto& [plural, ns, name] = key;
    const Object given = body.empty() ? Object{} : boost::json::parse(body).as_object();
    if (method == "GET" && name.empty()) {
      boost::json::array items;
      for (const auto& [known, object] : objects_)
        if (std::get<0>(known) == plural && selected(object, selector_of(query)))
          items.emplace_back(object);
      return kube::FakeApi::answer(
          200, boost::json::serialize(
                   Object{{"kind", "List"},
                          {"metadata", Object{{"resourceVersion", std::to_string(version_)}}},
                          {"items", std::move(items)}}));
    }
    if (method == "POST") {
      const Key made{plural, ns, text(given.at("metadata").as_object(), "name")};
      if (objects_.contains(made)) return status(409, "AlreadyExists");
      put_locked(plural, given);
      return kube::FakeApi::answer(201, boost::json::serialize(objects_.at(made)));
    }
    const auto found = objects_.find(key);
    if (found == objects_.end()) return status(404, "NotFound");
    if (method == "GET") return kube::FakeApi::answer(200, boost::json::serialize(found->second));
    const Object& metadata = found->second.at("metadata").as_object();
    if (method == "DELETE") {
      const auto* wanted = given.if_contains("preconditions");
      if (wanted != nullptr && text(wanted->as_object(), "uid") != text(metadata, "uid"))
        return status(409, "Conflict");
      remove_locked(key);
      return status(200, "");
    }
    Object patch = given;
    if (!patch.contains("metadata")) patch["metadata"] = Object{};
    Object& meant = patch["metadata"].as_object();
    for (const char* same : {"uid", "resourceVersion"})
      if (meant.contains(same) && text(meant, same) != text(metadata, same))
        return status(409, "Conflict");
    meant.clear();
    Object changed = found->second;
    merge(changed, patch);
    // As the real one: what changes nothing makes no new version.
    if (changed != found->second) put_locked(plural, std::move(changed));
    return kube::FakeApi::answer(200, boost::json::serialize(objects_.at(key)));
  }

  void watch(int fd, const std::string& plural, const std::string& query) {
    const auto at = query.find("resourceVersion=");
    std::uint64_t since = at == query.npos ? 0 : std::stoull(query.substr(at + 16));
    write(
        fd,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    std::unique_lock lock(mutex_);
    while (!ending_) {
      std::string lines;
      for (const Event& event : events_)
        if (event.version > since && event.plural == plural) lines += event.line;
      since = version_;
      if (!lines.empty()) {
        char size[24];
        std::snprintf(size, sizeof size, "%zx", lines.size());
        write(fd, std::string(size) + "\r\n" + lines + "\r\n");
      }
      changed_.wait(lock, [&] { return ending_ || version_ != since; });
    }
  }

  int listener_;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Key, Object> objects_;
  std::vector<Event> events_;
  std::vector<std::string> writes_;
  std::uint64_t version_ = 100;
  Mood mood_ = Mood::kAnswers;
  bool ending_ = false;
  std::list<std::thread> connections_;
  std::thread thread_;
};

}  // namespace faultline::controller::test
