// ControllerManager: runs the controllers of the table over one client, one set of informers and one pool of threads.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "controllers/context.h"
#include "controllers/controller_table.h"

namespace km::controllers {

// Which controllers run, as --controllers says: "*" all that are on by default, "name" on, "-name" off; the first that
// names a controller counts. An error names what is unknown.
Result<std::vector<const ControllerRow*>> selectControllers(const std::vector<std::string>& selection);

// The client, pool and timers must outlive it.
class ControllerManager {
 public:
  ControllerManager(client::Client& client, client::InformerFactory& informers, client::WorkerPool& pool,
                    client::Timers& timers, Options options);
  ~ControllerManager();  // stop()
  ControllerManager(const ControllerManager&) = delete;

  // Makes the controllers, each with its own client, starts the informers, and lets each controller work as soon as the informers that it
  // uses have synced. An error: a client cannot be made.
  Status start(const std::vector<const ControllerRow*>& rows);
  // Waits until the controllers work; false after `timeout`.
  bool waitForStart(Duration timeout);
  // Ends all work; the informers stay, and stop with their factory. Not from a controller's thread.
  void stop();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace km::controllers
