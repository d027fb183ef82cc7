// SPDX-License-Identifier: Apache-2.0
#include "kube/credentials.h"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <fstream>

#include "document/tree.h"

namespace faultline::kube {
namespace asio = boost::asio;
using asio::awaitable;

Result<std::string> read_file(const std::string& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::string text;
  std::array<char, 16384> part{};
  while (in.read(part.data(), part.size()), in.gcount() > 0) {
    text.append(part.data(), static_cast<std::size_t>(in.gcount()));
    if (text.size() > kLargestFile)
      return fail(Errc::kInvalid, path + " is larger than " + document::size_words(kLargestFile));
  }
  if (!in.eof()) return fail(from_errno(errno != 0 ? errno : EIO, "cannot read " + path));
  return text;
}

namespace {

// Kubernetes replaces mounted files by turning a symbolic link round, others by rename() or by
// writing: each gives stat() other numbers.
class ChangingFile {
 public:
  explicit ChangingFile(std::string path) : path_(std::move(path)) {}

  // True when text() may have changed. Empty path: never.
  Result<bool> refresh() {
    if (path_.empty()) return false;
    struct stat now {};
    if (stat(path_.c_str(), &now) != 0) return lost(from_errno(errno, "cannot read " + path_));
    if (read_ && now.st_ino == seen_.st_ino && now.st_dev == seen_.st_dev &&
        now.st_size == seen_.st_size && now.st_mtim.tv_sec == seen_.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == seen_.st_mtim.tv_nsec)
      return false;
    auto text = read_file(path_);
    if (!text) return lost(text.error());
    // Somebody writes it in place at this moment: the next request looks again.
    if (text->empty()) return lost({Errc::kInvalid, path_ + " is empty", 0});
    seen_ = now;
    warned_ = false;
    const bool changed = !read_ || *text != text_;
    read_ = true;
    text_ = std::move(*text);
    return changed;
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  Result<bool> lost(const Error& error) {
    if (!read_) return fail(error);
    if (!warned_) spdlog::warn("{}; what it held before stays in use", error.message);
    warned_ = true;
    return false;
  }

  std::string path_, text_;
  struct stat seen_ {};
  bool read_ = false, warned_ = false;
};

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

class SourcedCredentials final : public Credentials {
 public:
  explicit SourcedCredentials(CredentialSources sources)
      : sources_(std::move(sources)),
        ca_(sources_.ca_file),
        certificate_(sources_.certificate_file),
        key_(sources_.key_file),
        token_(sources_.token_file) {}

  awaitable<Result<std::shared_ptr<const Secret>>> get() override {
    bool tls = secret_ == nullptr, other = false;
    for (ChangingFile* file : {&ca_, &certificate_, &key_}) {
      const auto changed = file->refresh();
      if (!changed) co_return fail(changed.error());
      tls |= *changed;
    }
    const auto changed = token_.refresh();
    if (!changed) co_return fail(changed.error());
    other |= *changed;
    if (sources_.exec) {
      // A copy: this may be destroyed by the owner while a plugin runs, but not by a request,
      // which holds it.
      const auto ran = co_await exec();
      if (!ran) co_return fail(ran.error());
      tls |= exec_tls_changed_;
      other |= exec_changed_;
      exec_changed_ = exec_tls_changed_ = false;
    }
    if (tls || other || secret_ == nullptr) {
      auto next = std::make_shared<Secret>(make(tls));
      secret_ = std::move(next);
    }
    co_return secret_;
  }

  void refused(const Secret& secret) override {
    if (secret_ != nullptr && secret_->token == secret.token) plugin_.reset();
  }

 private:
  Secret make(bool tls) {
    if (tls) ++tls_version_;
    Secret secret;
    secret.ca_pem = sources_.ca_file.empty() ? sources_.ca_pem : ca_.text();
    secret.certificate_pem =
        sources_.certificate_file.empty() ? sources_.certificate_pem : certificate_.text();
    secret.key_pem = sources_.key_file.empty() ? sources_.key_pem : key_.text();
    secret.token = sources_.token_file.empty() ? sources_.token : trimmed(token_.text());
    secret.server_name = sources_.server_name;
    if (plugin_) {
      secret.token = plugin_->token;
      if (!plugin_->certificate_pem.empty()) {
        secret.certificate_pem = plugin_->certificate_pem;
        secret.key_pem = plugin_->key_pem;
      }
    }
    secret.tls_version = tls_version_;
    return secret;
  }

  [[nodiscard]] bool fresh() const {
    // A plugin's token may die on its way to the server: ten seconds early.
    return plugin_ &&
           (!plugin_->expires || *plugin_->expires - std::chrono::seconds(10) > clock_.utc());
  }

  awaitable<Result<>> exec() {
    while (!fresh() && running_ != nullptr) {  // somebody else's request runs it
      const auto other = running_;
      co_await other->async_wait(asio::as_tuple(asio::use_awaitable));
    }
    if (fresh()) co_return Result<>{};
    running_ = std::make_shared<asio::steady_timer>(co_await asio::this_coro::executor,
                                                    asio::steady_timer::time_point::max());
    struct Done {
      SourcedCredentials& self;
      ~Done() {
        self.running_->cancel();
        self.running_ = nullptr;
      }
    } done{*this};
    auto got = co_await run_exec_plugin(*sources_.exec);
    if (!got) co_return fail(got.error());
    exec_changed_ = true;
    exec_tls_changed_ |= exec_certificate_ != got->certificate_pem;
    exec_certificate_ = got->certificate_pem;
    plugin_ = std::move(*got);
    co_return Result<>{};
  }

  CredentialSources sources_;
  ChangingFile ca_, certificate_, key_, token_;
  SystemClock clock_;
  std::optional<ExecCredential> plugin_;
  std::shared_ptr<asio::steady_timer> running_;  // cancelled when the plugin under way has ended
  bool exec_changed_ = false, exec_tls_changed_ = false;
  std::string exec_certificate_;
  std::shared_ptr<const Secret> secret_;
  std::uint64_t tls_version_ = 0;
};

}  // namespace

std::shared_ptr<Credentials> make_credentials(CredentialSources sources) {
  return std::make_shared<SourcedCredentials>(std::move(sources));
}

}  // namespace faultline::kube
