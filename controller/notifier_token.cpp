// SPDX-License-Identifier: Apache-2.0
#include "controller/notifier_token.h"

#include "http/token.h"

namespace faultline::controller {

Result<NotifierToken> NotifierToken::of_file(const std::string& path) {
  auto token = http::load_token(path);
  if (!token) return fail(std::move(token.error()));
  NotifierToken out;
  *out.token_ = std::move(*token);
  out.file_ = path;
  return out;
}

Result<NotifierToken> NotifierToken::own(const std::string& path) {
  if (auto made = http::load_or_create_token(path); !made) return fail(std::move(made.error()));
  return of_file(path);
}

NotifierToken NotifierToken::of_secret(const std::string& path, const std::string& what) {
  NotifierToken out;
  out.file_ = path;
  out.secret_.emplace(path, what);
  return out;
}

Result<> NotifierToken::look() {
  if (!secret_) return {};
  auto text = secret_->look();
  if (!text) {
    token_->clear();
    if (text.error().code == Errc::kNotFound) return {};
    return fail(std::move(text.error()));
  }
  if (!*text) return {};
  std::string token = std::move(**text);
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  if (token.size() < kShortest) token.clear();
  *token_ = std::move(token);
  if (token_->empty())
    return fail(Errc::kInvalid, file_ + ": expected a token of at least " +
                                    std::to_string(kShortest) + " characters");
  return {};
}

}  // namespace faultline::controller
