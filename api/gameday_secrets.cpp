// SPDX-License-Identifier: Apache-2.0
// The Experiments of a game day that are in Secrets.
#include <algorithm>

#include "api/codec.h"
#include "api/gameday.h"

namespace faultline::api {
namespace {

// Who may read the Secret asks there; nobody else is told what is in it.
constexpr const char* kAskThere =
    ": whoever may read it sees why by `kubectl get secret NAME -o jsonpath='{.data.KEY}' | base64 "
    "-d | faultline validate -`";

tl::unexpected<Error> refused(const SecretOfStep& secret, const std::string& what) {
  return fail(Errc::kInvalid,
              secret.at + ": the key " + secret.key + " of the Secret " + secret.name + " " + what);
}

}  // namespace

std::vector<SecretOfStep> unread_secrets(const GameDay& day) {
  std::vector<SecretOfStep> found;
  for_each_step(day, [&](const Step& step, const std::string& at) {
    if (!step.experiment || step.experiment->secret.empty()) return;
    const std::string& written = step.experiment->secret;
    const std::size_t slash = std::min(written.find('/'), written.size());
    found.push_back({.step = step.name,
                     .at = at + ".experiment.secret",
                     .name = written.substr(0, slash),
                     .key = written.substr(std::min(slash + 1, written.size()))});
  });
  return found;
}

Result<GameDay> with_secrets(GameDay day, const std::map<std::string, std::string>& texts) {
  const std::vector<SecretOfStep> secrets = unread_secrets(day);
  std::map<std::string, ExperimentSpec> specs;  // by the step's name
  for (const SecretOfStep& secret : secrets) {
    const auto text = texts.find(secret.at);
    if (text == texts.end()) return refused(secret, "was not read");
    auto read = parse_experiment(text->second, secret.key);
    if (!read) return refused(secret, std::string("holds no valid Experiment") + kAskThere);
    const std::string& space = read->metadata.namespace_;
    if (!space.empty() && space != day.metadata.namespace_)
      return refused(secret, "holds an Experiment of another namespace than the game day's");
    specs.emplace(secret.step, std::move(read->spec));
  }
  if (specs.empty()) return day;
  for_each_step(day, [&](Step& step, const std::string&) {
    const auto spec = specs.find(step.name);
    if (spec == specs.end() || !step.experiment || step.experiment->secret.empty()) return;
    step.experiment->spec = std::move(spec->second);
    step.experiment->secret.clear();
  });
  // As one document: its length, its budget, and each experiment in its place.
  if (!parse_gameday(to_yaml(day), "the game day"))
    return fail(Errc::kInvalid,
                "with what its Secrets say this is no game day: whoever may read them sees why by "
                "putting it in place of experiment.secret, and `faultline validate`");
  return day;
}

}  // namespace faultline::api
