// Says on each node how long its kubelet may use secrets and config maps it has read (annotation node.alpha.kubernetes.io/ttl): longer in
// larger clusters.
#pragma once

#include "controllers/context.h"

namespace km::controllers::ttl {

// Follows the number of nodes; the bounds of two steps overlap, so that a cluster at a bound does not change to and fro.
class Steps {
 public:
  void added();
  void removed();
  int seconds() const;  // for the nodes there are now

 private:
  int nodes_ = 0;
  size_t step_ = 0;
};

std::unique_ptr<Controller> make(Context& context);

}  // namespace km::controllers::ttl
