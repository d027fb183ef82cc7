// SPDX-License-Identifier: Apache-2.0
// What the API server, or somebody who says so, asks the webhooks, of Experiments and of GameDays.
// Nobody answers at the API server's address, so that the reviews of a question end at "could not
// be asked".
#include "controller/kubernetes/admission.h"

#include <boost/asio/io_context.hpp>
#include <boost/json/serialize.hpp>
#include <string>

#include "base/clock.h"
#include "controller/kubernetes/access.h"
#include "controller/kubernetes/day_admission.h"
#include "controller/kubernetes/proofs.h"
#include "kube/json.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/kube/loop.h"

namespace faultline::fuzz {
namespace {

struct House {
  House()
      : client(io.get_executor(),
               {"http://127.0.0.1:1", "default", "a fuzz target", kube::make_credentials({})}),
        access(client, clock),
        proofs(client, clock, {}),
        admission(access, proofs, clock,
                  {.allowed = [](const api::Experiment&) { return Result<>{}; },
                   .decided = [](controller::AuditEntry) {}}),
        days(access, proofs, clock,
             {.allowed = [](const api::Experiment&) { return Result<>{}; },
              .decided = [](controller::AuditEntry) {}}) {}
  boost::asio::io_context io;
  SystemClock clock;
  kube::Client client;
  controller::Access access;
  controller::Proofs proofs;
  controller::Admission admission;
  controller::DayAdmission days;
};

template <class Door>
Result<boost::json::object> ask(House& house, Door& door, bool mutate, const std::string& review,
                                const std::string& from) {
  return mutate ? kube::run(house.io, door.mutate(review, from))
                : kube::run(house.io, door.validate(review, from));
}

}  // namespace

void fuzz(std::string_view input) {
  static House house;
  const auto door = choose(input, 4);
  const bool mutate = door % 2 == 0;
  const std::string review(input);
  // Each from an address of its own: one alone would be refused by its rate most of the time.
  static unsigned asked_before = 0;
  const std::string from = "10.0." + std::to_string(asked_before / 256 % 256) + "." +
                           std::to_string(asked_before % 256) + ":4711";
  ++asked_before;
  const auto answered = door < 2 ? ask(house, house.admission, mutate, review, from)
                                 : ask(house, house.days, mutate, review, from);
  if (!answered) return;
  const auto* response = kube::object_at(*answered, "response");
  must(response != nullptr, "an answer has a response");
  const auto* asked = answered->if_contains("kind");
  must(asked != nullptr, "and its kind");
}

}  // namespace faultline::fuzz
