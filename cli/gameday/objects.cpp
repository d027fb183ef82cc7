// SPDX-License-Identifier: Apache-2.0
#include "cli/gameday/objects.h"

#include <boost/json/array.hpp>

#include "api/codec.h"
#include "api/gameday_status.h"
#include "document/yaml_write.h"

namespace faultline::cli {
namespace {

using boost::json::array;
using boost::json::object;

// As the manifests install it (daemonset/base).
constexpr const char *kController = "faultline-controller", *kItsNamespace = "faultline";

object metadata_of(const std::string& name, const api::GameDay& day) {
  object metadata{{"name", name}};
  if (!day.metadata.namespace_.empty()) metadata["namespace"] = day.metadata.namespace_;
  return metadata;
}

// The step and those in it, if it is a surprise or in one: their Experiments go into `texts`.
class Hider {
 public:
  Hider(const api::GameDay& day, std::string secret, DayObjects& out)
      : day_(day), secret_(std::move(secret)), out_(out) {}

  void hide(std::vector<api::Step>& steps, bool in_surprise) {
    for (api::Step& step : steps) {
      const bool hidden = in_surprise || step.surprise;
      if (hidden) hide_one(step);
      hide(step.serial, hidden);
      hide(step.parallel, hidden);
    }
  }
  object texts;

 private:
  void hide_one(api::Step& step) {
    if (!step.title.empty())
      out_.remarks.push_back("step " + step.name +
                             ": its title is left out, since whoever may read the object would see "
                             "it");
    step.title.clear();
    if (!step.experiment || !step.experiment->spec) return;
    out_.remarks.push_back("step " + step.name +
                           ": whoever may read the object sees its name, its place, and that it is "
                           "a surprise; what it does is in the Secret " +
                           secret_);
    const std::string key = step.name + ".yaml";
    api::Experiment experiment = api::step_experiment(day_, step, 0);
    experiment.metadata.labels.clear();
    experiment.metadata.annotations.clear();
    texts[key] = api::to_yaml(experiment);
    step.experiment->spec.reset();
    step.experiment->secret = secret_ + "/" + key;
  }

  const api::GameDay& day_;
  std::string secret_;
  DayObjects& out_;
};

}  // namespace

Result<DayObjects> day_objects(api::GameDay day) {
  DayObjects out;
  const api::GameDay whole = day;
  const std::string name = day.metadata.name + "-surprises";
  Hider hider(whole, name, out);
  hider.hide(day.spec.steps, false);
  if (std::string why = api::not_for_an_object(day); !why.empty())
    return fail(Errc::kInvalid, std::move(why));
  if (!hider.texts.empty()) {
    out.before.push_back({{"apiVersion", "v1"},
                          {"kind", "Secret"},
                          {"metadata", metadata_of(name, whole)},
                          {"stringData", std::move(hider.texts)}});
    // This Secret and no other.
    const object rule{{"apiGroups", array{""}},
                      {"resources", array{"secrets"}},
                      {"resourceNames", array{name}},
                      {"verbs", array{"get"}}};
    out.before.push_back({{"apiVersion", "rbac.authorization.k8s.io/v1"},
                          {"kind", "Role"},
                          {"metadata", metadata_of(name, whole)},
                          {"rules", array{rule}}});
    const object controller{
        {"kind", "ServiceAccount"}, {"name", kController}, {"namespace", kItsNamespace}};
    out.before.push_back(
        {{"apiVersion", "rbac.authorization.k8s.io/v1"},
         {"kind", "RoleBinding"},
         {"metadata", metadata_of(name, whole)},
         {"roleRef",
          object{{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "Role"}, {"name", name}}},
         {"subjects", array{controller}}});
  }
  out.day = std::move(day);
  return out;
}

std::string yaml_of(const DayObjects& objects) {
  std::string text;
  for (const object& one : objects.before) text += document::write_yaml(one) + "---\n";
  return text + api::to_yaml(objects.day);
}

boost::json::value json_of(const DayObjects& objects) {
  if (objects.before.empty()) return api::to_json(objects.day);
  array items(objects.before.begin(), objects.before.end());
  items.push_back(api::to_json(objects.day));
  return object{{"apiVersion", "v1"}, {"kind", "List"}, {"items", std::move(items)}};
}

}  // namespace faultline::cli
