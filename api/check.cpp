// SPDX-License-Identifier: Apache-2.0
#include "api/detail/check.h"

#include <boost/json/serialize.hpp>
#include <charconv>

#include "api/codec.h"
#include "api/detail/text.h"
#include "api/metrics.h"

namespace faultline::api::detail {
namespace {

class Check {
 public:
  Check(const Experiment& experiment, Problems& problems)
      : spec_(experiment.spec), problems_(problems) {}

  void run() {
    target();
    containers();
    faults();
    for (std::size_t i = 0; i < spec_.observe.size(); ++i)
      selector(spec_.observe[i], item("spec.observe", i));
    const Expect& expect = spec_.expect;
    for (std::size_t i = 0; i < expect.effects.size(); ++i)
      effect(expect.effects[i], item("spec.expect.effects", i));
    for (std::size_t i = 0; i < expect.signals.size(); ++i)
      quantile(expect.signals[i].equals, expect.signals[i].quantile,
               item("spec.expect.signals", i));
    for (std::size_t i = 0; i < spec_.abortWhen.size(); ++i)
      abort(spec_.abortWhen[i], item("spec.abortWhen", i));
  }

 private:
  static std::string item(std::string path, std::size_t index) {
    append_index(path, index);
    return path;
  }
  void add(const std::string& path, std::string message) {
    if (!problems_.spoiled(path)) problems_.add(path, std::move(message));
  }
  // About several fields of the struct at `path`.
  void add_whole(const std::string& path, std::string message) {
    if (!problems_.spoiled(path + ".?"))
      problems_.add(path, std::move(message), Problems::Where::kKey);
  }

  void selector(const Selector& s, const std::string& path) {
    if (s == Selector{}) add(path, "must select something: it is empty");
  }

  void target() {
    const Target& t = spec_.target;
    selector(t.selector, "spec.target.selector");
    const std::string at = "spec.target.value";
    const bool percent = t.mode == Mode::fixed_percent || t.mode == Mode::random_max_percent;
    if (!percent && t.mode != Mode::fixed) {
      if (!t.value.empty())
        add(at, std::string("has no meaning with mode ") + (t.mode == Mode::one ? "one" : "all") +
                    "; leave it out");
      return;
    }
    if (t.value.empty())
      return add_whole("spec.target", "missing required key \"value\" (its mode needs a number)");
    int value = 0;
    std::from_chars(t.value.data(), t.value.data() + t.value.size(), value);
    if (percent && value > 100) add(at, "must be a percentage from 1 to 100, got " + t.value);
  }

  void containers() {
    const std::vector<std::string>& names = spec_.target.containerNames;
    const std::string path = "spec.target.containerNames";
    for (std::size_t i = 0; i < names.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j)
        if (names[i] == names[j]) return add(item(path, i), "is given twice");
    }
    if (names.empty()) return;
    for (const Fault& fault : spec_.faults)
      if (is_of_whole_pod(fault))
        return add(path, "goes not together with " + std::string(fault.name()) +
                             ": all containers of a pod share its network; leave it out, or give "
                             "that fault an experiment of its own");
  }

  void faults() {
    std::vector<std::string> seen;
    for (std::size_t i = 0; i < spec_.faults.size(); ++i) {
      const std::string at = item("spec.faults", i);
      check_fault(spec_.faults[i], at, problems_);
      Experiment one;
      one.spec.faults = {spec_.faults[i]};
      const std::string text =
          boost::json::serialize(to_json(one).as_object().at("spec").as_object().at("faults"));
      for (std::size_t j = 0; j < seen.size(); ++j)
        if (seen[j] == text) {
          add_whole(at, "is the same as spec.faults[" + std::to_string(j) + "]");
          break;
        }
      seen.push_back(text);
    }
  }

  void quantile(const std::string& metric, const std::optional<double>& q,
                const std::string& path) {
    const Metric* m = find_metric(metric);
    if (q && m != nullptr && m->kind != MetricKind::kHistogram)
      add(path + ".quantile", metric + " has no distribution; leave it out");
  }

  // A bound in the unit of a metric; plain numbers for others and for queries (nullptr).
  void bound(const std::string& text, const Metric* metric, const std::string& path) {
    if (text.empty()) return;
    if (metric != nullptr && metric->unit == "s") {
      if (auto parsed = Duration::parse(text); !parsed) add(path, parsed.error().message);
    } else if (metric != nullptr && metric->kind == MetricKind::kFraction) {
      if (auto parsed = Probability::parse(text); !parsed) add(path, parsed.error().message);
    } else {
      double number = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error != std::errc{} || end != text.data() + text.size() || (number != number) ||
          number > 1e300 || number < -1e300)
        add(path, "expected a number, got " + in_quotes(text));
      else if (metric != nullptr && number < 0)
        add(path, "must be at least 0, got " + text);
    }
  }

  void one_bound(const std::string& below, const std::string& above, const std::string& path) {
    if (below.empty() == above.empty())
      add_whole(path, std::string("needs exactly one of below and above, got ") +
                          (below.empty() ? "none" : "both"));
  }

  void effect(const ExpectEffect& e, const std::string& path) {
    quantile(e.metric, e.quantile, path);
    one_bound(e.below, e.above, path);
    const Metric* metric = find_metric(e.metric);
    if (metric == nullptr) return;  // already noted
    bound(e.below, metric, path + ".below");
    bound(e.above, metric, path + ".above");
  }

  void abort(const AbortCondition& a, const std::string& path) {
    if (a.promql.empty() == a.effect.empty())
      return add_whole(path, std::string("needs exactly one of promql and effect, got ") +
                                 (a.promql.empty() ? "none" : "both"));
    one_bound(a.below, a.above, path);
    if (!a.promql.empty() && a.quantile) add(path + ".quantile", "goes only together with effect");
    quantile(a.effect, a.quantile, path);
    const Metric* metric = find_metric(a.effect);
    bound(a.below, metric, path + ".below");
    bound(a.above, metric, path + ".above");
  }

  const ExperimentSpec& spec_;
  Problems& problems_;
};

}  // namespace

void check_experiment(const Experiment& experiment, Problems& problems) {
  Check(experiment, problems).run();
}

}  // namespace faultline::api::detail
