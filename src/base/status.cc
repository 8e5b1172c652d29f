#include "base/status.h"

#include <fmt/format.h>

#include <cstring>

namespace km {

struct Status::Rep {
  int code;
  std::string reason;
  std::string message;
  std::unique_ptr<StatusDetails> details;
};

namespace {
const std::string kEmpty;
}

Status::Status(int code, std::string_view reason, std::string_view message)
    : rep_(new Rep{code, std::string(reason), std::string(message), nullptr}) {}

Status::Status(int code, std::string_view reason, std::string_view message, StatusDetails details)
    : rep_(new Rep{code, std::string(reason), std::string(message),
                   std::make_unique<StatusDetails>(std::move(details))}) {}

Status::Status(const Status& other) { *this = other; }

Status& Status::operator=(const Status& other) {
  if (this == &other) return *this;
  if (!other.rep_) {
    rep_.reset();
    return *this;
  }
  const Rep& o = *other.rep_;
  rep_.reset(new Rep{o.code, o.reason, o.message,
                     o.details ? std::make_unique<StatusDetails>(*o.details) : nullptr});
  return *this;
}

int Status::code() const { return rep_ ? rep_->code : 200; }
const std::string& Status::reason() const { return rep_ ? rep_->reason : kEmpty; }
const std::string& Status::message() const { return rep_ ? rep_->message : kEmpty; }
const StatusDetails* Status::details() const { return rep_ ? rep_->details.get() : nullptr; }

StatusDetails& Status::mutableDetails() {
  if (!rep_) *this = Status(500, "InternalError", "details of a success");
  if (!rep_->details) rep_->details = std::make_unique<StatusDetails>();
  return *rep_->details;
}

std::string GroupResource::str() const {
  std::string out(resource);
  if (!group.empty()) {
    out += '.';
    out += group;
  }
  return out;
}

namespace errors {
namespace {
StatusDetails about(GroupResource what, std::string_view name) {
  StatusDetails d;
  d.name = name;
  d.group = what.group;
  d.kind = what.resource;
  return d;
}
}  // namespace

Status notFound(GroupResource what, std::string_view name) {
  return {404, "NotFound", fmt::format("{} \"{}\" not found", what.str(), name), about(what, name)};
}

Status alreadyExists(GroupResource what, std::string_view name) {
  return {409, "AlreadyExists", fmt::format("{} \"{}\" already exists", what.str(), name),
          about(what, name)};
}

Status conflict(GroupResource what, std::string_view name, std::string_view why) {
  return {409, "Conflict",
          fmt::format("Operation cannot be fulfilled on {} \"{}\": {}", what.str(), name, why),
          about(what, name)};
}

Status badRequest(std::string_view message) { return {400, "BadRequest", message}; }

Status unauthorized(std::string_view message) { return {401, "Unauthorized", message}; }

Status forbidden(GroupResource what, std::string_view name, std::string_view why) {
  std::string message;
  if (what.resource.empty()) {
    message = fmt::format("forbidden: {}", why);
  } else if (name.empty()) {
    message = fmt::format("{} is forbidden: {}", what.str(), why);
  } else {
    message = fmt::format("{} \"{}\" is forbidden: {}", what.str(), name, why);
  }
  return {403, "Forbidden", message, about(what, name)};
}

Status methodNotSupported(GroupResource what, std::string_view verb) {
  return {405, "MethodNotAllowed",
          fmt::format("{} is not supported on resources of kind \"{}\"", verb, what.str()),
          about(what, "")};
}

Status internal(std::string_view message) {
  StatusDetails d;
  d.causes.push_back({"", std::string(message), ""});
  return {500, "InternalError", fmt::format("Internal error occurred: {}", message), std::move(d)};
}

Status timeout(std::string_view message, int32_t retryAfterSeconds) {
  StatusDetails d;
  d.retryAfterSeconds = retryAfterSeconds;
  return {504, "Timeout", fmt::format("Timeout: {}", message), std::move(d)};
}

Status serverTimeout(GroupResource what, std::string_view operation, int32_t retryAfterSeconds) {
  StatusDetails d = about(what, operation);
  d.retryAfterSeconds = retryAfterSeconds;
  return {500, "ServerTimeout",
          fmt::format("The {} operation against {} could not be completed at this time, please try again.",
                      operation, what.str()),
          std::move(d)};
}

Status tooManyRequests(std::string_view message, int32_t retryAfterSeconds) {
  StatusDetails d;
  d.retryAfterSeconds = retryAfterSeconds;
  return {429, "TooManyRequests", message, std::move(d)};
}

Status expired(std::string_view message) { return {410, "Expired", message}; }
Status gone(std::string_view message) { return {410, "Gone", message}; }
Status unsupportedMediaType(std::string_view message) { return {415, "UnsupportedMediaType", message}; }
Status notAcceptable(std::string_view message) { return {406, "NotAcceptable", message}; }

Status requestEntityTooLarge(std::string_view message) {
  return {413, "RequestEntityTooLarge", fmt::format("Request entity is too large: {}", message)};
}

Status serviceUnavailable(std::string_view message) { return {503, "ServiceUnavailable", message}; }

Status failed(std::string_view message) { return {500, "InternalError", message}; }

Status fromErrno(std::string_view what, int err) {
  return failed(fmt::format("{}: {}", what, std::strerror(err)));
}
}  // namespace errors

}  // namespace km
