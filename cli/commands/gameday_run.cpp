// SPDX-License-Identifier: Apache-2.0
// faultline gameday plan FILE and run FILE: the whole way of one day.
#include <algorithm>
#include <boost/json.hpp>
#include <ostream>

#include "api/codec.h"
#include "api/gameday_report.h"
#include "base/printable.h"
#include "cli/cluster/choice.h"
#include "cli/commands/gameday.h"
#include "cli/commands/run_steps.h"
#include "cli/documents.h"
#include "cli/gameday/display.h"
#include "cli/gameday/files.h"
#include "cli/gameday/follow.h"
#include "cli/gameday/objects.h"
#include "cli/gameday/view.h"
#include "cli/gameday/words.h"
#include "cli/one_run.h"
#include "cli/random_key.h"
#include "cli/text.h"
#include "report/gameday/gameday.h"

namespace faultline::cli {
namespace {

class GameDayRun {
 public:
  GameDayRun(Invocation& call, Console& console, const GameDayFile& document, Place& place,
             Interrupt& interrupt, std::chrono::milliseconds patience)
      : call_(call),
        console_(console),
        document_(document),
        place_(place),
        interrupt_(interrupt),
        days_(place.api()),
        display_(console, call.json() ? DayDisplay::Form::kOther : DayDisplay::Form::kPeople) {
    options_.as = speaker_of(call, console);
    options_.abort_reason = "stopped by a signal to 'faultline gameday run'";
    options_.patience = patience;
    if (place.own) options_.alive = [this] { return place_.own->check(); };
  }

  Result<int> run() {
    auto plan = days_.plan(document_.text);
    if (!plan) return fail(with_hint(plan.error(), call_, console_));
    talk() << gameday_text(document_.day, std::nullopt, true, width()) << "\n"
           << day_plan_text(*plan, width()) << "\n"
           << std::flush;
    if (auto good = day_plan_problem(*plan, call_.has("anyway")); !good) return fail(good.error());
    if (interrupt_.requested())
      return fail(Errc::kUnavailable, "interrupted before anything was started");
    // A day with nobody there starts by itself: this is the last moment to say no.
    if (call_.has("unattended")) {
      const auto go = confirmed(call_, console_, interrupt_);
      if (!go) return fail(go.error());
      if (!*go) {
        talk() << "not started\n";
        return kExitAborted;
      }
    }
    const auto made = make();
    if (!made) return fail(made.error());
    id_ = made->day;
    tell_others();
    // The checks first: nothing is broken before they are good.
    if (auto checked = follow(
            [](const api::GameDayView& view) { return view.state != api::DayState::checking; });
        !checked)
      return fail(checked.error());
    bool agreed = true;
    if (followed_.last.state == api::DayState::waiting && !followed_.interrupted &&
        !call_.has("unattended")) {
      auto begun = begin();
      if (!begun) return fail(begun.error());
      agreed = *begun;
    }
    if (!ended(followed_.last.state))
      if (auto over = follow({}); !over) return fail(over.error());
    return finish(agreed);
  }

 private:
  std::ostream& talk() { return call_.json() ? console_.err : console_.out; }
  [[nodiscard]] std::size_t width() const { return static_cast<std::size_t>(console_.width()); }

  // The day is made once, also when the answer to that is lost and it is asked for again.
  Result<api::GameDayView> make() {
    const auto key = random_key();
    if (!key) return fail(key.error());
    const std::function<Result<api::GameDayView>()> once = [&]() -> Result<api::GameDayView> {
      if (options_.alive)
        if (const auto alive = options_.alive(); !alive)
          return fail(Errc::kInternal, alive.error().message);
      return days_.create(document_.text, call_.has("unattended"), call_.has("anyway"), options_.as,
                          *key);
    };
    auto made = patiently<api::GameDayView>(once, options_.patience, interrupt_, sayer(console_));
    if (!made && is_away(made.error()))
      return fail(Errc::kUnavailable,
                  made.error().message +
                      "; whether the game day was made is not known, and it may be under way: "
                      "'faultline gameday list' shows it");
    return made;
  }

  void tell_others() {
    const std::string others =
        place_.own ? "faultline gameday watch " + id_ + " " + place_.own->options_of_others()
                   : same_controller(call_, console_, "gameday watch " + id_);
    talk() << "  day          " << printable(id_) << "\n  others       " << printable(others)
           << "\n\n"
           << std::flush;
    interrupt_.last_words(place_.own
                              ? "the private agent is ended, its faults with it"
                              : "if it was not aborted, run: " +
                                    same_controller(call_, console_, "gameday abort " + id_));
  }

  Result<> follow(std::function<bool(const api::GameDayView&)> until) {
    options_.until = std::move(until);
    auto followed = follow_day(
        days_.api(), id_, std::move(followed_), interrupt_, options_,
        [&](const auto& view, const auto& fresh, const auto& all) {
          display_.show(view, fresh, all);
        },
        [&](const std::string& line) { display_.say(line); });
    display_.finish();
    if (!followed) return fail(followed.error());
    followed_ = std::move(*followed);
    return {};
  }

  Result<> say(api::EntryKind kind, const std::string& text) {
    auto key = random_key();
    if (!key) return fail(key.error());
    api::DayWord word{.kind = kind};  // it happens when the controller takes it
    word.key = std::move(*key);
    word.as = options_.as;
    word.text = text;
    const auto entry = patiently<api::DayEntry>([&] { return days_.say(id_, word); },
                                                options_.patience, interrupt_, sayer(console_));
    // Somebody else was faster: what became of the day is followed.
    if (!entry && entry.error().code != Errc::kConflict) return fail(entry.error());
    return {};
  }

  // Starts the day where its checks are good and the person agrees; else ends it. Returns whether
  // it was started.
  Result<bool> begin() {
    std::string bad;
    for (const api::DayEntry& entry : followed_.entries)
      if (entry.kind == api::EntryKind::check && !entry.good)
        bad += (bad.empty() ? "" : ", ") + entry.word;
    if (!bad.empty() && !call_.has("anyway")) {
      console_.err << "  " << printable("not good: " + bad + "; --anyway starts all the same")
                   << "\n";
      refused_ = true;
      if (auto said = say(api::EntryKind::aborted, "not started: its checks are not good"); !said)
        return fail(said.error());
      return false;
    }
    const auto go = confirmed(call_, console_, interrupt_);
    // A signal at the question: the day is there, and is ended by following it.
    if (!go) return false;
    if (*go) {
      if (auto said = say(api::EntryKind::started, ""); !said) return fail(said.error());
      return true;
    }
    if (auto said = say(api::EntryKind::aborted, "not started: nobody agreed"); !said)
      return fail(said.error());
    talk() << "not started\n";
    return false;
  }

  Result<int> finish(bool agreed) {
    int code = day_exit_code(followed_.last, followed_.entries);
    if (!agreed) code = refused_ ? kExitCouldNotRun : kExitAborted;
    const std::string folder = call_.get("report").value_or(is_path_below(id_) ? id_ : "gameday");
    const auto text = days_.report(id_, "json", false, options_.as);
    Result<std::string> page = text
                                   ? write_day_report(days_, id_, folder, false, *text, options_.as)
                                   : Result<std::string>(fail(text.error()));
    // Files that cannot be written are told, and are no error: the outcome is worth more.
    if (!page) print_error(console_, page.error(), false, {});
    if (call_.json()) {
      boost::json::object answer{
          {"day", id_}, {"exitCode", code}, {"folder", nullptr}, {"report", nullptr}};
      if (page) answer["folder"] = folder;
      boost::system::error_code ec;
      if (text) answer["report"] = boost::json::parse(*text, ec);
      print_json(console_.out, answer);
      return code;
    }
    console_.out << "\n  "
                 << printable(state_word(followed_.last.state) +
                              (followed_.last.stateReason.empty()
                                   ? ""
                                   : ": " + printable_prose(followed_.last.stateReason)))
                 << "\n";
    if (text) tell(*text);
    if (page) console_.out << "  report       " << printable(*page) << "\n";
    return code;
  }

  // The report, as far as it can be read here.
  void tell(const std::string& json) {
    const auto report = api::parse_gameday_report(json);
    if (report) console_.out << "\n" << report::gameday_terminal(*report, width()) << "\n";
  }

  Invocation& call_;
  Console& console_;
  const GameDayFile& document_;
  Place& place_;
  Interrupt& interrupt_;
  DayApi days_;
  DayDisplay display_;
  DayFollowOptions options_;
  std::string id_;
  FollowedDay followed_;
  bool refused_ = false;  // by its checks
};

}  // namespace

Result<int> run_gameday_plan(Invocation& call, Console& console) {
  const auto document = load_gameday(call, console, call.arguments[0]);
  if (!document) return fail(document.error());
  const auto api = controller_of(call, console);
  if (!api) return fail(api.error());
  const auto plan = DayApi(*api).plan(document->text);
  if (!plan) return fail(with_hint(plan.error(), call, console));
  if (call.json()) {
    print_json(console.out, boost::json::object{{"day", nullptr}, {"plan", api::to_json(*plan)}});
  } else {
    const auto width = static_cast<std::size_t>(console.width());
    console.out << gameday_text(document->day, std::nullopt, true, width) << "\n"
                << day_plan_text(*plan, width);
  }
  const auto good = day_plan_problem(*plan, false);
  if (good) return kExitMet;
  print_error(console, good.error(), false, {});
  return exit_code_of(good.error().code);
}

Result<int> run_gameday_manifest(Invocation& call, Console& console) {
  const auto document = load_gameday(call, console, call.arguments[0]);
  if (!document) return fail(document.error());
  auto objects = day_objects(document->day);
  if (!objects) return fail(objects.error());
  if (call.has("unattended")) objects->day.metadata.annotations[kUnattendedNote] = "true";
  if (call.json())
    print_json(console.out, json_of(*objects));
  else
    console.out << yaml_of(*objects);
  for (const std::string& remark : objects->remarks)
    console.err << "faultline: " << printable(remark) << "\n";
  return kExitMet;
}

Result<int> run_gameday_run(Invocation& call, Console& console) {
  const auto document = load_gameday(call, console, call.arguments[0]);
  if (!document) return fail(document.error());
  if (auto good = check_folder(call.get("report").value_or(""), "--report DIR"); !good)
    return fail(good.error());
  const auto patience = patience_of(call);
  if (!patience) return fail(patience.error());
  Interrupt interrupt;
  auto place = find_place(call, console, interrupt);
  if (!place) return fail(place.error());
  return GameDayRun(call, console, *document, *place, interrupt, *patience).run();
}

}  // namespace faultline::cli
