// Result<T>: a T, or the Status that says why there is none.
#pragma once

#include <cassert>
#include <optional>
#include <utility>

#include "base/status.h"

namespace km {

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}      // NOLINT: implicit by intent
  Result(Status error) : error_(std::move(error)) {  // NOLINT: implicit by intent
    if (error_.ok()) error_ = errors::failed("a Result was made from a success without a value");
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return error_; }  // success if ok()

  // The value; only when ok(): asking for it otherwise is a bug and ends the process.
  T& value() & {
    assert(ok());
    return *value_;
  }
  const T& value() const& {
    assert(ok());
    return *value_;
  }
  T&& value() && {
    assert(ok());
    return std::move(*value_);
  }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }

 private:
  std::optional<T> value_;
  Status error_;
};

// Returns the Status from the calling function if `expr` failed.
#define KM_TRY(expr)                                                           \
  do {                                                                         \
    if (::km::Status km_status_ = (expr); !km_status_.ok()) return km_status_; \
  } while (0)

#define KM_CONCAT_(a, b) a##b
#define KM_CONCAT(a, b) KM_CONCAT_(a, b)

// `KM_ASSIGN(auto x, f());` binds x to the value of a Result, or returns its Status.
#define KM_ASSIGN(decl, expr) KM_ASSIGN_(decl, expr, KM_CONCAT(km_result_, __LINE__))
#define KM_ASSIGN_(decl, expr, tmp)   \
  auto tmp = (expr);                  \
  if (!tmp.ok()) return tmp.status(); \
  decl = std::move(tmp).value()

}  // namespace km
