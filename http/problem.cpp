// SPDX-License-Identifier: Apache-2.0
#include "http/problem.h"

#include <boost/json.hpp>

#include "base/printable.h"
#include "http/client.h"
#include "http/server.h"

namespace faultline::http {

int status_of(Errc code) {
  switch (code) {  // no default: a new Errc must be given its status here
    case Errc::kInvalid:
      return 400;
    case Errc::kNotFound:
      return 404;
    case Errc::kUnsupported:
      return 422;
    case Errc::kConflict:
      return 409;
    case Errc::kDenied:
      return 403;
    case Errc::kUnavailable:
      return 503;
    case Errc::kInternal:
      return 500;
  }
  return 500;
}

Errc errc_of(int status) {
  switch (status) {
    case 401:
    case 403:
      return Errc::kDenied;
    case 404:
    case 410:
      return Errc::kNotFound;
    case 409:
      return Errc::kConflict;
    case 422:
      return Errc::kUnsupported;
    case 408:
    case 421:  // another one leads, or nobody yet
    case 429:
    case 502:
    case 503:
    case 504:
      return Errc::kUnavailable;
    default:
      return status < 500 ? Errc::kInvalid : Errc::kInternal;
  }
}

std::string_view status_words(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return status < 400 ? "OK" : "Error";
  }
}

Response problem(int status, std::string detail) {
  Response response;
  response.status = status;
  response.content_type = "application/problem+json";
  // What the details name came from the caller or from somebody else; several lines are ours.
  response.body = printable_json(boost::json::serialize(
                      boost::json::object{{"type", "about:blank"},
                                          {"title", status_words(status)},
                                          {"status", status},
                                          {"detail", printable_lines(detail)}})) +
                  "\n";
  return response;
}

Response problem(const Error& error) { return problem(status_of(error.code), error.message); }

Result<ClientResponse> expect_ok(Result<ClientResponse> response) {
  if (!response || response->status < 300) return response;
  std::string message;
  boost::system::error_code ec;
  const boost::json::value body = boost::json::parse(response->body, ec);
  if (!ec && body.is_object())
    for (const char* key : {"detail", "title", "message", "reason"})  // the last two: Kubernetes
      if (const auto* text = body.as_object().if_contains(key);
          message.empty() && text && text->is_string())
        message = printable_lines(text->as_string());
  if (message.empty())
    message = "the server answered " + std::to_string(response->status) + " " +
              std::string(status_words(response->status));
  const Errc code = response->status < 400 ? Errc::kInternal : errc_of(response->status);
  return fail(Error{code, std::move(message), 0, response->status});
}

}  // namespace faultline::http
