// One watch of etcd that outlives its connections: it goes on behind the last revision that it gave.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "store/etcd_transport.h"
#include "store/etcd_wire.h"

namespace km::store {

// All on the loop.
class EtcdFeed : public std::enable_shared_from_this<EtcdFeed> {
 public:
  struct Handler {
    // Whole revisions, in order; all of them up to and including the last event's.
    std::function<void(std::vector<std::shared_ptr<Event>> events)> onEvents;
    // All events up to the revision were given.
    std::function<void(Revision revision)> onProgress;
    // The feed has ended: its next revision was compacted, or etcd refuses it.
    std::function<void(const Status& why)> onError;
  };
  // Watches the keys from `key` to `end` (etcd's own) from the revision on. `withPrev`: events have what the key held
  // before, unless it was compacted.
  EtcdFeed(async::Loop& loop, EtcdTransport& transport, const EtcdKeys& keys, std::string key, std::string end,
           Revision from, bool withPrev, Handler handler);

  void start();
  void stop();    // nothing is called any more
  void reopen();  // at the endpoint of now
  // An onProgress may follow; ask again if it does not.
  void askProgress();
  // Whether events come: etcd has confirmed the watch, or has not had `grace` yet to do so again.
  bool flows(Duration grace) const;
  Revision position() const { return position_; }

 private:
  void open();
  void openLater();
  void received(const std::string& bytes);
  void end(const Status& why);
  void down();

  async::Loop& loop_;
  EtcdTransport& transport_;
  const EtcdKeys& keys_;
  const std::string key_, end_;
  const bool withPrev_;
  Revision position_;  // everything up to it was given
  Handler handler_;
  std::shared_ptr<http::GrpcStream> stream_;
  std::unique_ptr<async::Timer> timer_;
  unsigned generation_ = 0;
  Duration wait_;
  Duration downSince_;
  bool established_ = false, stopped_ = false;
};

}  // namespace km::store
