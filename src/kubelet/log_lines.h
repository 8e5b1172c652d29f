// Lines of a CRI log ("TIME STREAM TAG TEXT"), filtered as `kubectl logs` asks. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "codec/scalars.h"

namespace km::kubelet {

struct LogOptions {
  bool follow = false, previous = false, timestamps = false;
  std::optional<int64_t> tailLines, limitBytes, sinceSeconds;
  std::optional<codec::Time> sinceTime;
  std::string stream;  // "", "All", "Stdout", "Stderr"
};

class LogFilter {
 public:
  // `since`: the oldest time shown.
  LogFilter(const LogOptions& options, std::optional<codec::Time> since) : options_(options), since_(since), left_(options.limitBytes) {}
  // Takes bytes of the file in any pieces, appends what is shown.
  void feed(std::string_view bytes, std::string& out);
  bool full() const { return left_ && *left_ <= 0; }

 private:
  void line(std::string_view line, std::string& out);

  LogOptions options_;
  std::optional<codec::Time> since_;
  std::optional<int64_t> left_;
  std::string rest_;
  bool partial_ = false;  // the line shown last goes on
};

}  // namespace km::kubelet
