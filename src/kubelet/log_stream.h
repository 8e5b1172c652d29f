// LogStream: sends a container's log as the answer to a request, and follows it by inotify until the container has ended.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "http/exchange.h"
#include "kubelet/log_lines.h"

namespace km::kubelet {

// On the exchange's loop, as its callbacks are.
class LogStream : public std::enable_shared_from_this<LogStream> {
 public:
  // `path` may be missing yet; `running` tells whether more may come.
  static std::shared_ptr<LogStream> begin(std::shared_ptr<http::Exchange> exchange, std::string path, LogOptions options, std::function<bool()> running);
  virtual ~LogStream() = default;
  // The container may have ended: look, and finish if so.
  virtual void poke() = 0;
  virtual bool finished() const = 0;
};

}  // namespace km::kubelet
