// SPDX-License-Identifier: Apache-2.0
#include "api/sweep.h"

#include <cmath>
#include <set>

#include "api/codec.h"
#include "api/detail/check.h"
#include "api/detail/rules_sweep.h"
#include "api/detail/vary.h"
#include "api/detail/yaml.h"

namespace faultline::api {
namespace detail {
extern template void decode_struct(Decoder&, const boost::json::value&, Sweep&);
}  // namespace detail
namespace {

// Whether more (1) or less (-1) of this key is the stronger fault; 0: that is not clear.
int stronger_way(std::string_view key) {
  for (const std::string_view more : {"latency", "loss", "probability"})
    if (key == more) return 1;
  for (const std::string_view less : {"rate", "every"})
    if (key == less) return -1;
  return 0;
}

using detail::Problems;

constexpr std::string_view kFaults = "spec.faults";

std::string item(std::string path, std::size_t index) {
  detail::append_index(path, index);
  return path;
}

// A severity in the base unit of its field; nothing: it is none.
std::optional<double> value_of(const SweptFault& row, const std::string& severity) {
  Problems problems;
  detail::Decoder decoder(problems);
  Fault fault = row.fault;
  if (!detail::set_varied(decoder, fault, row.vary, severity)) return std::nullopt;
  return detail::varied_value(fault, row.vary);
}

// The rules over several fields, and those of each cell.
class SweepCheck {
 public:
  SweepCheck(const Sweep& sweep, const std::vector<bool>& written, Problems& problems)
      : sweep_(sweep), written_(written), problems_(problems) {}

  void run() {
    if (sweep_.spec.experiment.expect.alerts.empty() &&
        !problems_.spoiled("spec.experiment.expect.alerts.?"))
      problems_.add("spec.experiment",
                    "expects no alert: a sweep asks which severities an alert "
                    "notices, so expect.alerts names at least one");
    if (sweep_.spec.rest.least > sweep_.spec.rest.most && !problems_.spoiled("spec.rest.?"))
      problems_.add("spec.rest", "least is longer than most", Problems::Where::kKey);
    std::size_t cells = 0;
    for (std::size_t i = 0; i < sweep_.spec.faults.size(); ++i) {
      row(i);
      cells += sweep_.spec.faults[i].severities.size();
    }
    if (cells > kMostCells)
      problems_.add(std::string(kFaults),
                    "has " + std::to_string(cells) + " cells, at most " +
                        std::to_string(kMostCells) + " are one sweep",
                    Problems::Where::kKey);
    else if (least_length(sweep_, cells) > kLongestSweep)
      problems_.add(
          "spec",
          "takes at least " +
              std::to_string(
                  std::chrono::ceil<std::chrono::hours>(least_length(sweep_, cells)).count()) +
              " h with its " + std::to_string(cells) + " cells, at most 24 h are one sweep",
          Problems::Where::kKey);
  }

 private:
  void row(std::size_t index) {
    const SweptFault& row = sweep_.spec.faults[index];
    const std::string at = item(std::string(kFaults), index);
    if (!names_.insert(row.name).second && !problems_.spoiled(at + ".name"))
      problems_.add(at + ".name", "is the name of another row already");
    const std::size_t longest = probe_name(sweep_, row, kMostProbes).size();
    if (longest > 63 && !problems_.spoiled("metadata.name") && !problems_.spoiled(at + ".name"))
      problems_.add(at + ".name", "makes names of experiments of " + std::to_string(longest) +
                                      " characters (" + probe_name(sweep_, row, kMostProbes) +
                                      "), at most 63; choose a shorter one, or a shorter "
                                      "metadata.name");
    if (problems_.spoiled(at + ".?") || !varies(row, index, at)) return;
    if (severities(row, index, at)) cells(row, at);
  }

  bool varies(const SweptFault& row, std::size_t index, const std::string& at) {
    const auto keys = detail::varied_keys(row.fault);
    if (std::ranges::find(keys, std::string_view(row.vary)) == keys.end()) {
      std::string message =
          "\"" + row.vary + "\" is no key of " + std::string(row.fault.name()) + " that can vary, ";
      message += keys.empty() ? "it has none" : "expected one of " + detail::joined(keys);
      if (const std::string near = nearest_word(row.vary, keys); !near.empty())
        message += "; did you mean \"" + near + "\"?";
      problems_.add(at + ".vary", std::move(message));
      return false;
    }
    if (index < written_.size() && written_[index]) {
      problems_.add(at + ".fault." + std::string(row.fault.name()) + "." + row.vary,
                    "is what varies: its values are in severities; leave it out here");
      return false;
    }
    return true;
  }

  bool severities(const SweptFault& row, std::size_t index, const std::string& at) {
    std::vector<double> values;
    bool good = true;
    for (std::size_t j = 0; j < row.severities.size(); ++j) {
      Fault fault = row.fault;
      detail::Decoder decoder(problems_);
      const detail::Decoder::Step spec(decoder, "spec"), faults(decoder, "faults"),
          one(decoder, {}, index), list(decoder, "severities"), value(decoder, {}, j);
      if (detail::set_varied(decoder, fault, row.vary, row.severities[j]))
        values.push_back(detail::varied_value(fault, row.vary));
      else
        good = false;
    }
    if (!good) return false;
    for (std::size_t j = 1; j < values.size(); ++j)
      if (values[j] == values[j - 1] ||
          (j > 1 && (values[j] > values[j - 1]) != (values[1] > values[0]))) {
        problems_.add(item(at + ".severities", j),
                      "is out of order: severities go from the mildest to the strongest, all "
                      "growing or all falling, each once");
        return false;
      }
    const int way = stronger_way(row.vary);
    if (values.size() > 1 && way != 0 && (values[1] > values[0]) != (way > 0)) {
      problems_.add(item(at + ".severities", 1),
                    std::string("is milder than what stands before it: of ") + row.vary +
                        (way > 0 ? " more" : " less") + " is the stronger fault");
      return false;
    }
    if (row.resolution.empty()) return true;
    if (const auto steps = SeveritySteps::of(row, row.resolution); !steps) {
      problems_.add(at + ".resolution", steps.error().message);
      return false;
    }
    return true;
  }

  void cells(const SweptFault& row, const std::string& at) {
    for (std::size_t j = 0; j < row.severities.size(); ++j) {
      const auto cell =
          cell_experiment(sweep_, row, row.severities[j], cell_name(sweep_, row, j + 1));
      if (!cell) continue;  // told above
      Problems own;
      detail::check_experiment(*cell, own);
      const std::string last = item(std::string(kFaults), cell->spec.faults.size() - 1);
      problems_.take(own, [&](const std::string& path) {
        if (path.starts_with(last)) return at + ".fault" + path.substr(last.size());
        if (path.starts_with("spec")) return "spec.experiment" + path.substr(4);
        return path;
      });
    }
  }

  static constexpr std::size_t kMostProbes = 999;
  const Sweep& sweep_;
  const std::vector<bool>& written_;
  Problems& problems_;
  std::set<std::string> names_;
};

}  // namespace

namespace detail {

std::vector<bool> fill_place_holders(boost::json::value& sweep_spec) {
  std::vector<bool> written;
  boost::system::error_code ec;
  boost::json::value* rows = sweep_spec.find_pointer("/faults", ec);
  if (rows == nullptr || !rows->is_array()) return written;
  for (boost::json::value& row : rows->get_array()) {
    written.push_back(false);
    if (!row.is_object()) continue;
    const auto* vary = row.get_object().if_contains("vary");
    auto* fault = row.get_object().if_contains("fault");
    if (vary == nullptr || !vary->is_string() || fault == nullptr || !fault->is_object() ||
        fault->get_object().size() != 1)
      continue;
    const std::string_view key = vary->get_string();
    auto entry = fault->get_object().begin();
    if (entry->value().is_null()) entry->value() = boost::json::object();
    if (!entry->value().is_object()) continue;
    auto& fields = entry->value().get_object();
    if (fields.contains(key)) {
      written.back() = true;
    } else if (boost::json::value value = place_holder(entry->key(), key); !value.is_null()) {
      fields.emplace(key, std::move(value));
    }
  }
  return written;
}

void check_sweep(const Sweep& sweep, const std::vector<bool>& written, Problems& problems) {
  SweepCheck(sweep, written, problems).run();
}

}  // namespace detail

bool says_sweep(std::string_view text) {
  detail::SourceMap map;
  Problems problems;
  boost::json::value value;
  if (!detail::read_yaml(text, kExperimentBudget, value, map, problems) || !value.is_object())
    return false;
  const auto* kind = value.get_object().if_contains("kind");
  return kind != nullptr && kind->is_string() && std::string_view(kind->get_string()) == "Sweep";
}

Result<Sweep> parse_sweep(std::string_view text, std::string_view file) {
  detail::SourceMap map;
  Problems problems(file, &map);
  boost::json::value value;
  Sweep sweep;
  if (detail::read_yaml(text, kExperimentBudget, value, map, problems)) {
    std::vector<bool> written;
    boost::system::error_code ec;
    if (boost::json::value* spec = value.find_pointer("/spec", ec); spec != nullptr)
      written = detail::fill_place_holders(*spec);
    detail::Decoder decoder(problems);
    detail::decode(decoder, value, sweep);
    detail::check_sweep(sweep, written, problems);
  }
  if (!problems.empty()) return fail(problems.error());
  return sweep;
}

std::string cell_name(const Sweep& sweep, const SweptFault& row, std::size_t number) {
  return sweep.metadata.name + "-" + row.name + "-" + std::to_string(number);
}

std::string probe_name(const Sweep& sweep, const SweptFault& row, std::size_t number) {
  return sweep.metadata.name + "-" + row.name + "-t" + std::to_string(number);
}

bool milder(const SweptFault& row, const std::string& a, const std::string& b) {
  const auto value = value_of(row, a), other = value_of(row, b);
  if (!value || !other) return value.has_value() && !other;
  const auto first = value_of(row, row.severities.front()),
             last = value_of(row, row.severities.back());
  return first && last && *last < *first ? *value > *other : *value < *other;
}

Result<Experiment> cell_experiment(const Sweep& sweep, const SweptFault& row,
                                   const std::string& severity, const std::string& name) {
  Experiment cell{.apiVersion = sweep.apiVersion,
                  .kind = "Experiment",
                  .metadata = sweep.metadata,
                  .spec = sweep.spec.experiment};
  cell.metadata.name = name;
  Fault fault = row.fault;
  Problems problems;
  detail::Decoder decoder(problems);
  const detail::Decoder::Step at(decoder, row.vary);
  if (!detail::set_varied(decoder, fault, row.vary, severity)) return fail(problems.error());
  cell.spec.faults.push_back(std::move(fault));
  return cell;
}

std::chrono::nanoseconds least_length(const Sweep& sweep, std::size_t cells) {
  const Phases& phases = sweep.spec.experiment.phases;
  if (cells == 0) return std::chrono::nanoseconds(0);
  const auto n = static_cast<std::int64_t>(cells);
  return (phases.baseline.value + phases.fault.value + phases.recovery.value) * n +
         sweep.spec.rest.least.value * (n - 1);
}

Result<SeveritySteps> SeveritySteps::of(const SweptFault& row, const std::string& resolution) {
  if (row.severities.size() < 2)
    return fail(Errc::kInvalid, row.name + " has one severity: a threshold lies between two");
  SeveritySteps steps(row);
  const auto step = detail::varied_step(row.fault, row.vary, resolution);
  if (!step)
    return fail(Errc::kInvalid, "\"" + resolution + "\" is no distance between two values of " +
                                    row.vary + ", such as " + row.severities.front() + " and " +
                                    row.severities.back() + ", are");
  steps.from_ = value_of(row, row.severities.front()).value_or(0);
  steps.to_ = value_of(row, row.severities.back()).value_or(0);
  const double count = std::ceil(std::abs(steps.to_ - steps.from_) / *step - 1e-9);
  if (count > static_cast<double>(kMostSteps))
    return fail(Errc::kInvalid, "from " + row.severities.front() + " to " + row.severities.back() +
                                    " there are more than " + std::to_string(kMostSteps) +
                                    " steps of " + resolution);
  steps.last_ = std::max<std::int64_t>(1, static_cast<std::int64_t>(count));
  steps.step_ = steps.to_ > steps.from_ ? *step : -*step;
  // A step that is finer than what is written of a value would be two severities of one text.
  for (const std::int64_t one :
       {std::int64_t{1}, steps.last_ / 3, steps.last_ / 2, steps.last_ - 1, steps.last_})
    if (one >= 0 && steps.step_of(steps.text(one)) != one)
      return fail(Errc::kInvalid, "steps of " + resolution + " are finer than " + row.vary +
                                      " is written: from " + row.severities.front() +
                                      " on they cannot be told apart");
  return steps;
}

std::optional<std::int64_t> SeveritySteps::step_of(const std::string& severity) const {
  const auto value = value_of(row_, severity);
  if (!value) return std::nullopt;
  const auto near = static_cast<std::int64_t>(std::llround((*value - from_) / step_));
  for (const std::int64_t step : {near, last_})  // the last may be shorter
    if (step >= 0 && step <= last_ && value_of(row_, text(step)) == value) return step;
  return std::nullopt;
}

std::string SeveritySteps::text(std::int64_t step) const {
  if (step <= 0) return row_.severities.front();
  if (step >= last_) return row_.severities.back();
  const std::string text =
      detail::varied_text(row_.fault, row_.vary, from_ + step_ * static_cast<double>(step));
  for (const std::string& written : row_.severities)
    if (const auto value = value_of(row_, written);
        value && detail::varied_text(row_.fault, row_.vary, *value) == text)
      return written;
  return text;
}

}  // namespace faultline::api
