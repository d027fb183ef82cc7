// SPDX-License-Identifier: Apache-2.0
#include "kube/reviews.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <boost/asio/use_awaitable.hpp>
#include <list>

#include "kube/json.h"

namespace faultline::kube {
namespace json = boost::json;
using boost::asio::awaitable;
namespace {

ResourceRef token_reviews() { return {"authentication.k8s.io", "v1", "tokenreviews", {}, {}, {}}; }
ResourceRef access_reviews() {
  return {"authorization.k8s.io", "v1", "subjectaccessreviews", {}, {}, {}};
}

json::array words(const std::vector<std::string>& texts) {
  json::array array;
  for (const auto& text : texts) array.emplace_back(text);
  return array;
}

// Answers with the time when they are forgotten. Full, it forgets the oldest.
template <class Key, class Value>
class Memory {
 public:
  explicit Memory(std::size_t entries) : entries_(std::max<std::size_t>(entries, 1)) {}

  const Value* find(const Key& key, SteadyTime now) {
    const auto found = known_.find(key);
    if (found == known_.end()) return nullptr;
    if (now < found->second->until) return &found->second->value;
    order_.erase(found->second);
    known_.erase(found);
    return nullptr;
  }
  void put(const Key& key, Value value, SteadyTime until) {
    if (const auto found = known_.find(key); found != known_.end()) {
      order_.erase(found->second);
      known_.erase(found);
    }
    if (order_.size() >= entries_) {
      known_.erase(order_.front().key);
      order_.pop_front();
    }
    order_.push_back({key, std::move(value), until});
    known_[key] = std::prev(order_.end());
  }

 private:
  struct Entry {
    Key key;
    Value value;
    SteadyTime until;
  };
  std::size_t entries_;
  std::list<Entry> order_;
  std::map<Key, typename std::list<Entry>::iterator> known_;
};

}  // namespace

json::object token_review(const std::string& token, const std::vector<std::string>& audiences) {
  return {{"apiVersion", "authentication.k8s.io/v1"},
          {"kind", "TokenReview"},
          {"spec", {{"token", token}, {"audiences", words(audiences)}}}};
}

Identity identity_of(const json::object& review, const std::vector<std::string>& audiences) {
  Identity identity;
  const json::object* status = object_at(review, "status");
  if (status == nullptr) return identity;
  identity.error = text_at(*status, "error");
  if (!flag_at(*status, "authenticated")) return identity;
  for (const std::string& audience : texts_at(*status, "audiences"))
    if (std::find(audiences.begin(), audiences.end(), audience) != audiences.end())
      identity.audiences.push_back(audience);
  // An authenticator that knows no audiences answers without: its yes is for the API server only.
  if (identity.audiences.empty()) {
    identity.error = "the token is for another audience";
    return identity;
  }
  const json::object* user = object_at(*status, "user");
  if (user == nullptr || text_at(*user, "username").empty()) {
    identity.error = "the answer names no user";
    return identity;
  }
  identity.authenticated = true;
  identity.user = text_at(*user, "username");
  identity.uid = text_at(*user, "uid");
  identity.groups = texts_at(*user, "groups");
  if (const json::object* extra = object_at(*user, "extra"))
    for (const auto& entry : *extra)
      identity.extra[std::string(entry.key())] = texts_at(*extra, entry.key());
  return identity;
}

json::object access_review(const AccessQuestion& question) {
  json::object attributes;
  for (const auto& [key, value] : std::initializer_list<std::pair<const char*, const std::string*>>{
           {"verb", &question.verb},
           {"group", &question.group},
           {"resource", &question.resource},
           {"subresource", &question.subresource},
           {"namespace", &question.ns},
           {"name", &question.name}})
    if (!value->empty()) attributes[key] = *value;
  json::object spec{{"user", question.user},
                    {"groups", words(question.groups)},
                    {"resourceAttributes", std::move(attributes)}};
  if (!question.uid.empty()) spec["uid"] = question.uid;
  if (!question.extra.empty()) {
    json::object extra;
    for (const auto& [key, values] : question.extra) extra[key] = words(values);
    spec["extra"] = std::move(extra);
  }
  return {{"apiVersion", "authorization.k8s.io/v1"},
          {"kind", "SubjectAccessReview"},
          {"spec", std::move(spec)}};
}

Access access_of(const json::object& review) {
  const json::object* status = object_at(review, "status");
  if (status == nullptr) return {};
  Access access{flag_at(*status, "allowed") && !flag_at(*status, "denied"),
                std::string(text_at(*status, "reason"))};
  if (access.reason.empty()) access.reason = text_at(*status, "evaluationError");
  return access;
}

struct Reviews::Impl {
  Impl(Client& c, const Clock& cl, ReviewOptions o)
      : client(c), clock(cl), options(o), tokens(o.entries), accesses(o.entries) {
    RAND_bytes(salt.data(), static_cast<int>(salt.size()));
  }

  [[nodiscard]] std::string hash(const std::string& token) const {
    std::string text(salt.begin(), salt.end());
    text += token;
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
      return {};
    return {digest.begin(), digest.begin() + size};
  }
  [[nodiscard]] SteadyTime until(bool yes) const {
    return clock.steady() + (yes ? options.positive : options.negative);
  }

  Client& client;
  const Clock& clock;
  ReviewOptions options;
  std::array<unsigned char, 32> salt{};
  Memory<std::pair<std::string, std::vector<std::string>>, Identity> tokens;
  Memory<AccessQuestion, Access> accesses;
};

Reviews::Reviews(Client& client, const Clock& clock, ReviewOptions options)
    : impl_(std::make_shared<Impl>(client, clock, options)) {}
Reviews::~Reviews() = default;

awaitable<Answer<Identity>> Reviews::authenticate(std::string token,
                                                  std::vector<std::string> audiences) {
  return [](std::shared_ptr<Impl> self, std::string secret,
            std::vector<std::string> wanted) -> awaitable<Answer<Identity>> {
    if (wanted.empty()) co_return api_fail(Errc::kInternal, "a TokenReview needs an audience");
    if (secret.empty()) {
      Identity nobody;
      nobody.error = "there is no token";
      co_return nobody;
    }
    const auto key = std::pair(self->hash(secret), wanted);
    if (key.first.empty()) co_return api_fail(Errc::kInternal, "cannot hash a token");
    if (const Identity* known = self->tokens.find(key, self->clock.steady())) co_return *known;
    const auto answer = co_await self->client.create(token_reviews(), token_review(secret, wanted));
    if (!answer) co_return api_fail(answer.error());
    Identity identity = identity_of(*answer, wanted);
    self->tokens.put(key, identity, self->until(identity.authenticated));
    co_return identity;
  }(impl_, std::move(token), std::move(audiences));
}

awaitable<Answer<Access>> Reviews::authorize(AccessQuestion question) {
  return [](std::shared_ptr<Impl> self, AccessQuestion asked) -> awaitable<Answer<Access>> {
    // Groups have no order; without a user the API would ask about the groups alone.
    std::sort(asked.groups.begin(), asked.groups.end());
    if (asked.user.empty() || asked.verb.empty() || asked.resource.empty())
      co_return api_fail(Errc::kInternal, "a SubjectAccessReview needs user, verb and resource");
    if (const Access* known = self->accesses.find(asked, self->clock.steady())) co_return *known;
    const auto answer = co_await self->client.create(access_reviews(), access_review(asked));
    if (!answer) co_return api_fail(answer.error());
    Access access = access_of(*answer);
    self->accesses.put(asked, access, self->until(access.allowed));
    co_return access;
  }(impl_, std::move(question));
}

}  // namespace faultline::kube
