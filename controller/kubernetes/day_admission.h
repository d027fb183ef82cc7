// SPDX-License-Identifier: Apache-2.0
// The webhooks that the API server asks before it keeps a GameDay. As those of Experiments
// (admission.h): `mutate` writes down who asked, with the proof that they may every step, and who
// wrote the word of the annotation faultline.dev/gameday-do; `validate` sees that nobody changed
// that, that no word is written over one that is not answered, and lets nobody but the controllers
// write a status. Not thread-safe.
#pragma once

#include "api/gameday.h"
#include "controller/kubernetes/admission.h"

namespace faultline::controller {

class DayAdmission {
 public:
  // References outlive it.
  DayAdmission(Access& access, Proofs& proofs, const Clock& clock, AdmissionOptions options);

  // Adds POST /webhook/gamedays/mutate and /webhook/gamedays/validate.
  void add_routes(http::Server& server);

  // As Admission's.
  boost::asio::awaitable<Result<boost::json::object>> mutate(std::string review,
                                                             std::string from = {});
  boost::asio::awaitable<Result<boost::json::object>> validate(std::string review,
                                                               std::string from = {});

 private:
  boost::asio::awaitable<Result<boost::json::object>> mutate_created(boost::json::object request,
                                                                     std::string from);
  boost::asio::awaitable<Result<boost::json::object>> mutate_changed(boost::json::object request,
                                                                     std::string from);
  boost::asio::awaitable<Result<>> judge(boost::json::object request);
  boost::asio::awaitable<Result<>> judge_created(boost::json::object request, api::GameDay day);
  void decided(const boost::json::object& request, const std::string& from, std::string verb,
               const Result<>& judged);

  Access& access_;
  Proofs& proofs_;
  AdmissionOptions options_;
  Questions questions_;
};

}  // namespace faultline::controller
