// Errors are values. A Status is what an operation says of its outcome; it has the shape of
// metav1.Status, so that an error made anywhere reaches a client unchanged.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace km {

// One row of Status.details.causes.
struct StatusCause {
  std::string reason;   // "FieldValueRequired", ...
  std::string message;
  std::string field;    // path, e.g. "spec.containers[0].name"; may be empty
};

// What the error is about. Empty members are left out on the wire.
struct StatusDetails {
  std::string name;
  std::string group;
  std::string kind;  // a kind or a resource, as upstream puts it for the given error
  std::string uid;
  std::vector<StatusCause> causes;
  int32_t retryAfterSeconds = 0;
};

// Success costs one null pointer. Copying an error copies its text: errors are not the hot path.
class [[nodiscard]] Status {
 public:
  Status() = default;  // success
  Status(int code, std::string_view reason, std::string_view message);
  Status(int code, std::string_view reason, std::string_view message, StatusDetails details);
  Status(const Status& other);
  Status& operator=(const Status& other);
  Status(Status&&) noexcept = default;
  Status& operator=(Status&&) noexcept = default;

  bool ok() const { return rep_ == nullptr; }
  explicit operator bool() const = delete;  // say ok(): an error that reads as "true" misleads

  int code() const;                    // HTTP status; 200 for success
  const std::string& reason() const;   // metav1.StatusReason; "" for success
  const std::string& message() const;
  const StatusDetails* details() const;  // null if there are none
  StatusDetails& mutableDetails();       // makes them; only for an error

  bool is(std::string_view reason) const { return rep_ != nullptr && this->reason() == reason; }

 private:
  struct Rep;
  std::shared_ptr<Rep> rep_;  // never shared: the type only allows Rep to stay private
};

// Names a resource or kind in an error: "deployments.apps", or "pods" for the core group.
struct GroupResource {
  std::string_view group;
  std::string_view resource;
  std::string str() const;
};

// The constructors below follow k8s.io/apimachinery/pkg/api/errors: code, reason, wording, details.
namespace errors {
Status notFound(GroupResource what, std::string_view name);
Status alreadyExists(GroupResource what, std::string_view name);
Status conflict(GroupResource what, std::string_view name, std::string_view why);
Status badRequest(std::string_view message);
Status unauthorized(std::string_view message = "Unauthorized");
Status forbidden(GroupResource what, std::string_view name, std::string_view why);
Status methodNotSupported(GroupResource what, std::string_view verb);
Status internal(std::string_view message);  // "Internal error occurred: " + message
Status timeout(std::string_view message, int32_t retryAfterSeconds);
Status serverTimeout(GroupResource what, std::string_view operation, int32_t retryAfterSeconds);
Status tooManyRequests(std::string_view message, int32_t retryAfterSeconds);
Status expired(std::string_view message);   // 410, reason Expired: the resourceVersion is too old
Status gone(std::string_view message);
Status unsupportedMediaType(std::string_view message);
Status notAcceptable(std::string_view message);
Status requestEntityTooLarge(std::string_view message);
Status serviceUnavailable(std::string_view message);
// For failures that never reach a client as they are (files, sockets, child processes): code 500,
// reason InternalError, the message alone.
Status failed(std::string_view message);
// The same with ": " and the text of errno `err`.
Status fromErrno(std::string_view what, int err);
}  // namespace errors

}  // namespace km
